import { $, all } from "./dom.mjs";
import { downloadName, FORMATS, soundEnding } from "./formats.mjs";
import { say } from "./state.mjs";

const KEEP_URL_MS = 60_000;
const SHOWN_MS = 2000;

/** Taking along what is on the page: as a file, or on the clipboard. */
export class Saving {
  constructor({ state, view, speakers }) {
    Object.assign(this, { state, view, speakers });
    $("copy").onclick = () => this.#copy();
    for (const button of all("[data-format]")) button.onclick = () => this.#saveText(button.dataset.format);
    for (const button of all("[data-sound]")) button.onclick = () => this.#saveSound();
  }

  #as(format) {
    return FORMATS[format](this.speakers.named(this.state.segments), this.state.done);
  }

  #saveText(format) {
    save(new Blob([this.#as(format)], { type: "text/plain" }), downloadName(this.state.file.name, format));
    this.state.isTextSaved = true;
  }

  #saveSound() {
    const { file } = this.state;
    save(file, downloadName(file.name, soundEnding(file.type)));
    this.state.isSoundSaved = true;
  }

  async #copy() {
    const { state, view } = this;
    const { file } = state;
    const outcome = await copy(this.#as("txt")).then(() => "copied", () => "copy_failed");
    if (outcome === "copied" && file === state.file) state.isTextSaved = true;
    state.copied = outcome;
    say(state, outcome);
    view.render();
    $("copy").focus();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      state.copied = null;
      view.render();
    }, SHOWN_MS);
  }
}

function save(content, download) {
  const url = URL.createObjectURL(content);
  Object.assign(document.createElement("a"), { href: url, download }).click();
  setTimeout(() => URL.revokeObjectURL(url), KEEP_URL_MS);
}

/** Over plain http browsers have no clipboard interface but the old one, which may work, too, where the new one fails. */
async function copy(content) {
  try {
    await navigator.clipboard.writeText(content);
  } catch {
    copyAsBefore(content);
  }
}

function copyAsBefore(content) {
  const field = document.createElement("textarea");
  field.value = content;
  $("tools").append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  if (!isCopied) throw new Error("not copied");
}
