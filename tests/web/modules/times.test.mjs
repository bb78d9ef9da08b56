import assert from "node:assert/strict";
import test from "node:test";

import { clock, lastBegun, wordAt } from "../../../asr_core/web/page/times.mjs";

test("a moment is written in whole seconds that have passed, with hours where there are any", () => {
  const written = { 0: "0:00", 0.99: "0:00", 75.9: "1:15", 600: "10:00", 3599.9: "59:59", 3675: "1:01:15", 36000: "10:00:00" };
  for (const [seconds, text] of Object.entries(written)) assert.equal(clock(Number(seconds)), text);
});

test("the last that has begun is the one before which all others began", () => {
  const items = [0, 1, 1, 2.5, 7].map((start) => ({ start }));
  for (let position = -1; position < 9; position += 0.25) {
    const found = items.filter(({ start }) => start <= position).length - 1;
    assert.equal(lastBegun(items, position), found, String(position));
  }
  assert.equal(lastBegun([], 1), -1);
});

test("a word is marked from its beginning until a little after its end, but not into the next one", () => {
  const words = [
    { start: 1, end: 1.5 },
    { start: 1.6, end: 2 },
    { start: 3, end: 3.2 },
  ];
  const marked = { 0.9: -1, 1: 0, 1.55: 0, 1.6: 1, 2.3: 1, 2.5: -1, 3: 2, 3.5: 2, 3.7: -1 };
  for (const [now, index] of Object.entries(marked)) assert.equal(wordAt(words, Number(now)), index, now);
  assert.equal(wordAt([], 0), -1);
});
