import assert from "node:assert/strict";
import test from "node:test";

import { Problem } from "../../../asr_core/web/page/answers.mjs";
import * as state from "../../../asr_core/web/page/state.mjs";

const FILE = { name: "talk.mp3" };
const OTHER = { name: "other.mp3" };
const SEGMENT = { start: 0, end: 2, text: "раз два", words: [{ word: "раз", start: 0, end: 1 }, { word: "два", start: 1, end: 2 }] };
const DONE = { duration: 4, text: "раз два" };

/** A page that has gone through `steps`. */
function after(...steps) {
  const page = state.newState("ru");
  for (const step of steps) step(page);
  return page;
}
const begin = (facts) => (page) => state.begin(page, FILE, 1000, facts);
const send = (sent) => (page) => state.send(page, sent, 2000);
const hear = (page) => state.hear(page, [SEGMENT]);
const finish = (page) => state.finish(page, DONE, 5000);
const fail = (code) => (page) => state.fail(page, new Problem(0, { code }), false);
const unauthorized = (hasKey) => (page) => state.fail(page, new Problem(401), hasKey);

test("a recording is sent, heard, and over", () => {
  assert.equal(after(begin()).phase, "sending");
  assert.equal(state.fraction(after(begin(), send(0.25))), 0.25);
  assert.equal(after(begin(), send(1)).phase, "hearing");
  assert.equal(state.fraction(after(begin(), send(1))), null);
  assert.equal(state.fraction(after(begin(), send(1), hear)), null);
  assert.equal(state.fraction(after(begin(), send(1), (page) => (page.duration = 4), hear)), 0.5);
  const over = after(begin(), send(1), hear, finish);
  assert.equal(over.phase, "over");
  assert.equal(over.tookS, 3); // from when all of it was sent
  assert.equal(over.duration, 4);
  assert.deepEqual(over.words, [{ text: "раз", start: 0, end: 1 }, { text: "два", start: 1, end: 2 }]);
});

test("nothing of a recording is left for the next one, however it ended", () => {
  const ends = [[finish], [fail("cancelled")], [fail("busy")], [hear, finish], [hear, fail("busy")]];
  for (const end of ends) {
    const steps = [begin({ isRecorded: true, others: 2 }), send(1), ...end];
    const sound = after(...steps, (page) => (page.isTextSaved = page.isSoundSaved = true));
    state.begin(sound, OTHER, 9000);
    assert.deepEqual(sound, after((page) => state.begin(page, OTHER, 9000)));
    const idle = after(...steps);
    state.forget(idle);
    assert.deepEqual(idle, after());
  }
});

test("what is said of an upload is not said of its failure", () => {
  for (const sent of [0, 0.5, 1]) assert.equal(after(begin(), send(sent), fail("busy")).news, null);
  assert.equal(after(begin(), send(1), finish).news.name, "silence");
  assert.equal(after(begin(), send(1), hear, finish).news.name, "done");
});

test("a text that was not saved would be lost, also if it is not the whole", () => {
  const save = (page) => (page.isTextSaved = true);
  for (const end of [finish, fail("cancelled"), fail(null)]) {
    assert.equal(state.loss(after(begin(), hear, end), OTHER), "unsaved_text");
    assert.equal(state.loss(after(begin(), hear, end), FILE), "unsaved_text");
    assert.equal(state.loss(after(begin(), hear, end, save), OTHER), null);
    assert.equal(state.loss(after(begin(), end), OTHER), null);
  }
});

test("a sound that is nowhere else would be lost, unless it was heard or saved", () => {
  const recorded = begin({ isRecorded: true });
  const saveText = (page) => (page.isTextSaved = true);
  assert.equal(state.loss(after(recorded, fail("busy")), OTHER), "unsaved_sound");
  assert.equal(state.loss(after(recorded, fail("busy")), FILE), null); // tried again
  assert.equal(state.loss(after(recorded, fail("busy"), begin(), fail("busy")), OTHER), "unsaved_sound");
  assert.equal(state.loss(after(recorded, finish)), "unsaved_sound"); // silence, the server says
  assert.equal(state.loss(after(recorded, hear, fail("busy"), saveText)), "unsaved_sound");
  assert.equal(state.loss(after(recorded, hear, finish, saveText)), null);
  assert.equal(state.loss(after(recorded, fail("busy"), (page) => (page.isSoundSaved = true))), null);
});

test("a recording takes another's place only when nothing is going on", () => {
  const question = (page) => (page.question = "unsaved_text");
  for (const busy of [[state.record], [begin()], [begin(), send(1)], [begin(), hear, finish, question]]) {
    assert.equal(state.isFree(after(...busy)), false);
  }
  for (const free of [[], [begin(), finish], [begin(), fail("busy")]]) assert.equal(state.isFree(after(...free)), true);
});

test("a key is asked for, judged and accepted", () => {
  const judge = (status, hasKey) => (page) => state.judgeKey(page, status, hasKey);
  assert.equal(after(judge(200, false)).key, "unneeded");
  assert.equal(after(judge(0, false)).key, "unneeded");
  assert.equal(after(judge(401, false)).key, "wanted");
  assert.equal(after(judge(401, true)).key, "wrong");
  assert.equal(after(judge(401, false), judge(0, true)).key, "unanswered");
  assert.equal(after(judge(401, false), judge(0, true), judge(200, true)).key, "accepted");
  assert.equal(after(begin(), unauthorized(false)).key, "wanted");
  assert.equal(after(begin(), unauthorized(true)).key, "wrong");
  assert.equal(after(begin(), unauthorized(true), begin(), finish).key, "accepted");
});
