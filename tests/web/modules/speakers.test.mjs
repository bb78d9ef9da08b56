import assert from "node:assert/strict";
import test from "node:test";

import { FORMATS } from "../../../asr_core/web/page/formats.mjs";
import { Speakers } from "../../../asr_core/web/page/speakers.mjs";

const SEGMENTS = ["A", "B", "A"].map((speaker, id) => ({
  ...{ type: "segment", id, start: id, end: id + 0.5, text: "да", speaker },
  words: [{ word: "да", start: id, end: id + 0.5 }],
}));

test("speakers have colours in the order in which they speak, and nobody has none", () => {
  const speakers = new Speakers();
  assert.deepEqual(["B", "A", "B", undefined].map((speaker) => speakers.colour(speaker)), [0, 1, 0, -1]);
});

test("a name that was typed goes into every download, and an empty one takes it away", () => {
  const speakers = new Speakers();
  speakers.rename("A", "  Анна \n & Ко ");
  const named = speakers.named(SEGMENTS);
  assert.deepEqual(JSON.parse(FORMATS.json(named, null)).segments.map(({ speaker }) => speaker), ["Анна & Ко", "B", "Анна & Ко"]);
  assert.match(FORMATS.srt(named, null), /\nАнна & Ко: да\n\n2\n.*\nB: да\n/);
  assert.match(FORMATS.vtt(named, null), /\n<v Анна &amp; Ко>да\n/);
  assert.equal(FORMATS.txt(named, null), "Анна & Ко: да\nB: да\nАнна & Ко: да");
  speakers.rename("A", " ");
  assert.equal(speakers.name("A"), "A");
});

test("what was saved has other names once one is typed over", () => {
  let isSaved = true;
  const speakers = new Speakers(() => (isSaved = false));
  speakers.rename("A", " A ");
  assert.equal(isSaved, true);
  speakers.rename("A", "Анна");
  assert.equal(isSaved, false);
});

test("in text, what one speaker says in a row is one line", () => {
  const speakers = new Speakers();
  speakers.rename("B", "A");
  assert.equal(FORMATS.txt(speakers.named(SEGMENTS), null), "A: да да да");
});

test("where nobody is told apart nothing is said of speakers", () => {
  const [{ speaker: _, ...segment }] = SEGMENTS;
  assert.deepEqual(new Speakers().named([segment]), [segment]);
  assert.match(FORMATS.vtt([segment], null), /\nда\n/);
  assert.equal(FORMATS.txt([segment], null), "да");
});
