import { $ } from "./dom.mjs";
import { clock, wordAt } from "./times.mjs";
import { waveform } from "./waveform.mjs";

const STEPS_S = { ArrowRight: 5, ArrowUp: 5, ArrowLeft: -5, ArrowDown: -5, PageUp: 60, PageDown: -60, Home: -Infinity, End: Infinity };

/** The recording as it is heard, and the marks that move along with it. */
export class Player {
  /** `onChange` is called when the sound can be played, cannot, or its length is known. */
  constructor({ state, t, strip, transcript, onChange }) {
    Object.assign(this, { state, t, strip, transcript, onChange });
    this.audio = $("audio");
    this.nextFollow = 0;
    this.audio.onloadedmetadata = () => this.#measure();
    this.audio.onerror = onChange;
    for (const event of ["play", "pause", "ended"]) this.audio.addEventListener(event, () => this.renderButton());
    for (const event of ["playing", "seeked", "pause", "ended"]) this.audio.addEventListener(event, () => this.follow());
    $("play").onclick = () => this.toggle();
    $("speed").onchange = () => (this.audio.playbackRate = Number($("speed").value));
    $("strip").onclick = (event) => this.playFrom(strip.timeAt(event));
    $("strip").onkeydown = (event) => this.#key(event);
  }

  /** Make `file` ready to be listened to, as far as the browser can. */
  load(file) {
    this.audio.src = URL.createObjectURL(file);
    this.audio.playbackRate = Number($("speed").value);
  }

  unload() {
    if (!this.audio.src) return;
    this.audio.pause();
    URL.revokeObjectURL(this.audio.src);
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  get playable() {
    return Boolean(this.audio.src) && !this.audio.error && this.audio.readyState > 0;
  }

  async #measure() {
    const { file } = this.state;
    if (Number.isFinite(this.audio.duration)) this.#setDuration(this.audio.duration);
    const found = await waveform(file, this.audio.duration);
    if (!found || file !== this.state.file) return;
    this.strip.peaks = found.peaks;
    this.#setDuration(found.seconds);
  }

  #setDuration(seconds) {
    this.state.duration = seconds;
    this.onChange();
    this.strip.extend(seconds);
  }

  playFrom(seconds) {
    if (!this.playable) return;
    this.audio.currentTime = seconds;
    this.#play();
  }

  toggle() {
    if (!this.playable) return;
    if (this.audio.paused) this.#play();
    else this.audio.pause();
  }

  /** Unless the browser will not, or is told to pause before it has begun. */
  #play() {
    this.audio.play().catch(() => this.renderButton());
  }

  #key(event) {
    if (event.key === " " || event.key === "Enter") this.toggle();
    else if (event.key in STEPS_S && this.playable) this.#step(STEPS_S[event.key]);
    else return;
    event.preventDefault();
  }

  #step(seconds) {
    this.audio.currentTime = Math.min(this.strip.seconds, Math.max(0, this.audio.currentTime + seconds));
  }

  /** Bring the marks to the moment that is heard; again and again while it moves. */
  follow() {
    const now = this.audio.currentTime;
    const current = wordAt(this.state.words, now);
    this.strip.show(now, current);
    this.transcript.show(current);
    const moment = { now: clock(now), all: clock(Math.round(this.strip.seconds)) };
    $("clock").textContent = `${moment.now} / ${moment.all}`;
    $("strip").setAttribute("aria-valuenow", now.toFixed(1));
    $("strip").setAttribute("aria-valuetext", this.t("position_text", moment));
    cancelAnimationFrame(this.nextFollow);
    if (!this.audio.paused && !this.audio.ended) this.nextFollow = requestAnimationFrame(() => this.follow());
  }

  render() {
    $("mute").hidden = !this.state.segments.length || !this.audio.error;
    $("controls").hidden = Boolean(this.audio.error);
    for (const part of ["play", "speed"]) $(part).disabled = !this.playable;
    document.body.classList.toggle("playable", this.playable);
    this.renderButton();
    this.follow();
  }

  renderButton() {
    const { paused } = this.audio;
    $("play").querySelector("use").setAttribute("href", paused ? "#i-play" : "#i-pause");
    $("play").setAttribute("aria-label", this.t(paused ? "play" : "pause"));
  }
}
