import { $ } from "./dom.mjs";

const KEYWORDS = "gigaam-asr-keywords";

/** The names and terms to listen for, comma-separated as the user wrote them; `memory` has them the next time too. */
export class Keywords {
  constructor(memory) {
    const field = $("keywords");
    field.value = memory.get(KEYWORDS) ?? "";
    $("keywords-box").open = Boolean(field.value);
    field.oninput = () => (field.value.trim() ? memory.set(KEYWORDS, field.value) : memory.forget(KEYWORDS));
  }

  get text() {
    return $("keywords").value.trim();
  }
}
