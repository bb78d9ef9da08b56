import { isInView } from "./dom.mjs";
import { nameField } from "./speakers.mjs";
import { clock, lastBegun } from "./times.mjs";

/** The text as it is read: a line for each segment, each word a place to listen from. */
export class Transcript {
  /** `t` names the times in the page's language; `onPick` hears the index of a word that was chosen. */
  constructor(box, t, speakers, onPick) {
    Object.assign(this, { box, t, speakers, onPick });
    this.clear();
    box.addEventListener("click", (event) => this.click(event));
    box.addEventListener("keydown", (event) => this.key(event));
  }

  clear() {
    this.spans = [];
    this.lines = []; // of each: `start`, the index of its first word
    this.current = this.cursor = -1;
    this.speaker = undefined; // of the last line
    this.box.replaceChildren();
  }

  /** One more line; its first word is the recording's word `firstIndex`. */
  add(segment, firstIndex) {
    const line = document.createElement("div");
    const time = document.createElement("button");
    const words = document.createElement("p");
    Object.assign(time, { type: "button", tabIndex: -1, textContent: clock(segment.start) });
    time.dataset.word = firstIndex;
    for (const [i, word] of segment.words.entries()) {
      if (i) words.append(" ");
      words.append(this.#span(word.word, firstIndex + i));
    }
    this.lines.push({ start: firstIndex });
    line.append(time, words);
    if (segment.speaker !== this.speaker) this.box.append(this.#head(segment.speaker));
    this.speaker = segment.speaker;
    this.box.append(line);
    this.#name(time);
    if (this.cursor < 0) this.moveTo(0, false);
  }

  /** The head of a turn: whose it is. */
  #head(speaker) {
    const head = document.createElement("div");
    head.className = "turn";
    head.append(nameField(speaker, this.speakers, this.t("speaker"), (who, name) => this.#call(who, name)));
    return head;
  }

  /** Everywhere in the text a speaker is called what was typed at one place. */
  #call(speaker, name) {
    this.speakers.rename(speaker, name);
    for (const field of this.box.querySelectorAll("input.speaker")) {
      if (field.dataset.speaker === speaker) field.value = this.speakers.name(speaker);
    }
  }

  #span(text, index) {
    const span = document.createElement("span");
    Object.assign(span, { textContent: text, tabIndex: -1 });
    span.dataset.word = index;
    this.spans.push(span);
    return span;
  }

  /** In the page's language: what the times do. */
  #name(time) {
    time.setAttribute("aria-label", this.t("play_from", { now: time.textContent }));
  }

  rename() {
    this.box.querySelectorAll("button").forEach((time) => this.#name(time));
    this.box.querySelectorAll("input").forEach((field) => field.setAttribute("aria-label", this.t("speaker")));
  }

  click(event) {
    const target = event.target.closest("[data-word]");
    if (!target || !getSelection().isCollapsed) return;
    this.moveTo(Number(target.dataset.word), false);
    this.onPick(Number(target.dataset.word));
  }

  key(event) {
    if (!(event.target instanceof HTMLSpanElement) || event.ctrlKey || event.metaKey || event.altKey) return;
    const line = lastBegun(this.lines, this.cursor);
    const moves = {
      ArrowRight: () => this.cursor + 1,
      ArrowLeft: () => this.cursor - 1,
      ArrowDown: () => this.lines[line + 1]?.start,
      ArrowUp: () => this.lines[this.cursor > this.lines[line].start ? line : line - 1]?.start,
      Home: () => 0,
      End: () => this.spans.length - 1,
    };
    if (event.key in moves) this.moveTo(moves[event.key]() ?? this.cursor, true);
    else if (event.key === "Enter" || event.key === " ") this.onPick(this.cursor);
    else return;
    event.preventDefault();
  }

  /** One word at a time can be reached by Tab; the arrows move from word to word. */
  moveTo(index, focus) {
    if (index < 0 || index >= this.spans.length) return;
    if (this.cursor >= 0) this.spans[this.cursor].tabIndex = -1;
    this.cursor = index;
    this.spans[index].tabIndex = 0;
    if (focus) this.spans[index].focus();
  }

  /** Mark the word that is heard; the page follows as long as the reader does. */
  show(index) {
    if (index === this.current) return;
    const before = this.spans[this.current];
    const now = this.spans[index];
    const seen = !before || isInView(before);
    before?.classList.remove("now");
    now?.classList.add("now");
    if (now && seen && !isInView(now)) now.scrollIntoView({ block: "center", behavior: "smooth" });
    this.current = now ? index : -1;
  }
}
