import { $, all } from "./dom.mjs";
import { downloadName, FORMATS, verboseJson } from "./formats.mjs";

const KEEP_URL_MS = 60_000;
const SAY_MS = 2000;

/** Taking the text along: as a file, or on the clipboard. */
export class Saving {
  constructor({ state, t, view }) {
    Object.assign(this, { state, t, view });
    $("copy").onclick = () => this.#copy();
    for (const button of all("[data-format]")) button.onclick = () => this.#download(button.dataset.format);
  }

  #result() {
    return verboseJson(this.state.segments, this.state.done);
  }

  #download(format) {
    const content = new Blob([FORMATS[format](this.#result())], { type: "text/plain" });
    const url = URL.createObjectURL(content);
    const download = downloadName(this.state.file.name, format);
    Object.assign(document.createElement("a"), { href: url, download }).click();
    setTimeout(() => URL.revokeObjectURL(url), KEEP_URL_MS);
  }

  async #copy() {
    const outcome = await copy(this.#result().text).then(() => "copied", () => "copy_failed");
    $("copy").textContent = this.t(outcome);
    $("copy").focus();
    this.view.announce(this.t(outcome));
    setTimeout(() => ($("copy").textContent = this.t("copy")), SAY_MS);
  }
}

/** Over plain http browsers have no clipboard interface but the old one. */
async function copy(content) {
  if (navigator.clipboard) return navigator.clipboard.writeText(content);
  const field = document.createElement("textarea");
  field.value = content;
  $("tools").append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (!copied) throw new Error("not copied");
}
