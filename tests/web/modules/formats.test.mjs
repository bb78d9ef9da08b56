import assert from "node:assert/strict";
import test from "node:test";

import { downloadName, FORMATS, soundEnding, verboseJson } from "../../../asr_core/web/page/formats.mjs";

const words = (...texts) => texts.map((word, i) => ({ word, start: i, end: i + 0.5 }));
const SEGMENTS = [
  { type: "segment", id: 0, start: 0, end: 1.5, text: "раз & два", words: words("раз", "&", "два") },
  { type: "segment", id: 1, start: 1.4996, end: 1.4996, text: "<b> --> три", words: words("<b>", "-->", "три") },
  { type: "segment", id: 2, start: 3725.25, end: 36000, text: "всё", words: words("всё") },
];
const DONE = { type: "done", duration: 36001, text: "раз & два <b> --> три всё", usage: { type: "duration", seconds: 36001 } };

test("the stream's pieces make OpenAI's verbose object", () => {
  const whole = verboseJson(SEGMENTS, DONE);
  assert.deepEqual(Object.keys(whole), ["duration", "text", "segments", "words", "usage"]);
  assert.deepEqual(whole.segments[0], { id: 0, start: 0, end: 1.5, text: "раз & два" });
  assert.deepEqual(whole.words.map(({ word }) => word).join(" "), DONE.text);
});

test("a stream that broke off makes the same object of what had come", () => {
  const part = verboseJson(SEGMENTS.slice(0, 2), null);
  assert.equal(part.text, "раз & два <b> --> три");
  assert.equal(part.duration, 1.4996);
  assert.equal(part.words.length, 6);
});

test("subtitles last, do not overlap, and cannot be mistaken for their own syntax", () => {
  const whole = verboseJson(SEGMENTS, DONE);
  assert.equal(
    FORMATS.srt(whole),
    "1\n00:00:00,000 --> 00:00:01,500\nраз & два\n\n" +
      "2\n00:00:01,500 --> 00:00:01,501\n<b> → три\n\n" +
      "3\n01:02:05,250 --> 10:00:00,000\nвсё\n\n",
  );
  assert.equal(
    FORMATS.vtt(whole),
    "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nраз &amp; два\n\n" +
      "00:00:01.500 --> 00:00:01.501\n&lt;b&gt; --&gt; три\n\n" +
      "01:02:05.250 --> 10:00:00.000\nвсё\n\n",
  );
});

test("a download is named after the recording, without what no file's name may have", () => {
  const names = { "talk.mp3": "talk.srt", "a/b\\c:d.wav": "a-b-c-d.srt", "v1.2 final": "v1.2 final.srt", ".wav": "text.srt", "": "text.srt" };
  for (const [name, download] of Object.entries(names)) assert.equal(downloadName(name, "srt"), download);
});

test("a recorded sound is saved under the ending of what it is", () => {
  const endings = { "audio/webm;codecs=opus": "webm", "audio/mp4": "m4a", "audio/mp4; codecs=mp4a.40.2": "m4a", "audio/ogg; codecs=opus": "ogg" };
  for (const [type, ending] of Object.entries(endings)) assert.equal(soundEnding(type), ending);
});
