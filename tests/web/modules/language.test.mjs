import assert from "node:assert/strict";
import test from "node:test";

import { firstLanguage, rememberLanguage, translator } from "../../../asr_core/web/page/language.mjs";
import { Memory } from "../../../asr_core/web/page/memory.mjs";

const STRINGS = { ru: { heard: "{now} из {all}" }, en: { heard: "{now} of {all}" } };
const nothing = new Memory(() => null);

test("the page speaks the browser's language, English if it has not learnt that", () => {
  for (const [browsers, page] of Object.entries({ ru: "ru", "ru-RU": "ru", en: "en", "fr-CH": "en", run: "en", constructor: "en" })) {
    assert.equal(firstLanguage(STRINGS, nothing, browsers), page);
  }
});

test("the language that was chosen comes before the browser's", () => {
  const memory = new Memory(() => null);
  rememberLanguage("ru", memory);
  assert.equal(firstLanguage(STRINGS, memory, "en-US"), "ru");
  rememberLanguage("xx", memory);
  assert.equal(firstLanguage(STRINGS, memory, "en-US"), "en");
});

test("values stand where a language wants them, in the language of the moment", () => {
  const state = { language: "ru" };
  const t = translator(STRINGS, state);
  const values = { now: "{all}", all: "$&" };
  assert.equal(t("heard", values), "{all} из $&");
  state.language = "en";
  assert.equal(t("heard", values), "{all} of $&");
});
