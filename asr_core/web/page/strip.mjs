import { lastBegun } from "./times.mjs";
import { PEAKS_A_SECOND } from "./waveform.mjs";

/** The sound from left to right with the words under it. Draws only what is in view, so its length does not matter. */
export class Strip {
  static WAVE_HEIGHT = 96;
  static ROW_HEIGHT = 24;
  static ROWS = 2;
  static LEAST_SCALE = 90; // pixels a second
  static WIDEST = 15e6; // pixels; browsers stop at 17 to 33 million

  constructor(box) {
    this.box = box;
    this.canvas = box.querySelector("canvas");
    this.spacer = box.querySelector("i");
    this.pen = this.canvas.getContext("2d");
    this.clear([]);
    new ResizeObserver(() => this.layout()).observe(box);
    box.addEventListener("scroll", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  clear(words) {
    Object.assign(this, { words, peaks: null, seconds: 0, now: 0, current: -1, laid: 0, rowEnds: Array(Strip.ROWS).fill(-1) });
    this.box.scrollLeft = 0;
    this.layout();
  }

  /** The sound is at least, or exactly, this long. */
  extend(seconds) {
    this.seconds = seconds;
    this.layout();
  }

  /** Everything anew: after the size, the length or the sound has changed. */
  layout() {
    const width = this.box.clientWidth;
    if (!width) return;
    const fit = this.seconds ? width / this.seconds : 0;
    this.scale = Math.max(fit, Math.min(Strip.LEAST_SCALE, Strip.WIDEST / (this.seconds || 1)));
    const height = Strip.WAVE_HEIGHT + Strip.ROWS * Strip.ROW_HEIGHT + 6;
    const density = devicePixelRatio;
    Object.assign(this.canvas, { width: width * density, height: height * density });
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    this.pen.scale(density, density);
    this.pen.font = `14px ${getComputedStyle(document.body).fontFamily}`;
    this.pen.textBaseline = "middle";
    this.laid = 0;
    this.rowEnds.fill(-1);
    this.draw();
  }

  /** Give the words that have none a place: under their sound, in the first row that is free there. */
  place() {
    for (; this.laid < this.words.length; this.laid++) {
      const word = this.words[this.laid];
      const x = word.start * this.scale + 4;
      word.width = this.pen.measureText(word.text).width;
      word.row = this.rowEnds.findIndex((end) => end <= x);
      if (word.row < 0) word.row = this.rowEnds.indexOf(Math.min(...this.rowEnds));
      word.x = Math.max(x, this.rowEnds[word.row]);
      this.rowEnds[word.row] = word.x + word.width + 9;
    }
    const needed = Math.max(this.box.clientWidth, Math.floor(this.seconds * this.scale), ...this.rowEnds);
    this.spacer.style.width = `${needed}px`;
  }

  draw() {
    if (!this.box.clientWidth) return;
    this.place();
    const { pen, box } = this;
    const style = getComputedStyle(box);
    const colour = (name) => style.getPropertyValue(`--${name}`);
    const view = { left: box.scrollLeft, width: box.clientWidth };
    pen.clearRect(0, 0, view.width, this.canvas.height);
    this.drawSound(view, colour("wave"), colour("accent"));
    const first = Math.max(0, lastBegun(this.words, view.left / this.scale) - 12);
    for (let i = first; i < this.words.length && this.words[i].start * this.scale < view.left + view.width; i++) {
      this.drawWord(this.words[i], i === this.current, view.left, colour);
    }
    pen.fillStyle = colour("ink");
    pen.fillRect(Math.round(this.now * this.scale - view.left), 6, 1.5, Strip.WAVE_HEIGHT - 6);
  }

  drawSound(view, ahead, behind) {
    const BAR = 3;
    const middle = Strip.WAVE_HEIGHT / 2 + 4;
    const until = Math.min(view.left + view.width, this.seconds * this.scale);
    for (let x = Math.floor(view.left / BAR) * BAR; x < until; x += BAR) {
      const height = Math.max(2, this.loudness(x / this.scale, (x + BAR) / this.scale) * (Strip.WAVE_HEIGHT - 20));
      this.pen.fillStyle = x < this.now * this.scale ? behind : ahead;
      this.pen.fillRect(x - view.left, middle - height / 2, BAR - 1, height);
    }
  }

  /** Of the sound between two times, 0..1; without the sound, whether there is speech at all. */
  loudness(from, to) {
    if (!this.peaks) {
      const word = this.words[lastBegun(this.words, to)];
      return word && word.end > from ? 0.3 : 0;
    }
    let most = 0;
    const end = Math.max(Math.floor(from * PEAKS_A_SECOND) + 1, Math.floor(to * PEAKS_A_SECOND));
    for (let i = Math.floor(from * PEAKS_A_SECOND); i < end && i < this.peaks.length; i++) most = Math.max(most, this.peaks[i]);
    return most ** 0.8;
  }

  drawWord(word, isCurrent, left, colour) {
    const y = this.rowMiddle(word.row);
    if (isCurrent) {
      this.pen.fillStyle = colour("accent");
      this.pen.beginPath();
      this.pen.roundRect(word.x - left - 4, y - 11, word.width + 8, 22, 5);
      this.pen.fill();
    }
    const own = word.colour >= 0 ? colour(`speaker-${word.colour}`) : colour("ink");
    this.pen.fillStyle = isCurrent ? colour("on-accent") : own;
    this.pen.fillText(word.text, word.x - left, y + 1);
  }

  rowMiddle(row) {
    return Strip.WAVE_HEIGHT + 10 + row * Strip.ROW_HEIGHT;
  }

  /** The time that a click means: a word's beginning, or the place in the sound. */
  timeAt(event) {
    const place = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - place.left + this.box.scrollLeft, event.clientY - place.top];
    const near = Math.max(0, lastBegun(this.words, x / this.scale) - 12);
    const hit = this.words
      .slice(near, near + 40)
      .find((word) => Math.abs(y - this.rowMiddle(word.row)) <= 12 && x >= word.x - 4 && x <= word.x + word.width + 4);
    return hit ? hit.start : Math.min(x / this.scale, this.seconds);
  }

  /** Show the moment `seconds`; the view turns like a page when the moment leaves it, unless it was elsewhere. */
  show(seconds, current) {
    const inView = (s) => s * this.scale >= this.box.scrollLeft && s * this.scale <= this.box.scrollLeft + this.box.clientWidth;
    const follow = inView(this.now) && !inView(seconds);
    Object.assign(this, { now: seconds, current });
    if (follow) this.box.scrollLeft = seconds * this.scale - this.box.clientWidth * 0.1;
    this.draw();
  }
}

