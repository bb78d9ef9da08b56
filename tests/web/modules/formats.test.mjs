import assert from "node:assert/strict";
import test from "node:test";

import { downloadName, FORMATS, soundEnding } from "../../../asr_core/web/page/formats.mjs";

const words = (start, end, ...texts) => {
  const lasts = (end - start) / texts.length;
  return texts.map((word, i) => ({ word, start: start + i * lasts, end: start + (i + 1) * lasts }));
};
const SEGMENTS = [
  { type: "segment", id: 0, start: 0, end: 1.5, text: "раз & два", words: words(0, 1.5, "раз", "&", "два") },
  { type: "segment", id: 1, start: 2, end: 4.5, text: "<b> --> три", words: words(2, 4.5, "<b>", "-->", "три") },
  { type: "segment", id: 2, start: 3725.25, end: 36000, text: "всё", words: words(3725.25, 36000, "всё") },
];
const DONE = { type: "done", duration: 36001, text: "раз & два <b> --> три всё", usage: { type: "duration", seconds: 36001 } };

test("the stream's pieces make OpenAI's verbose object", () => {
  const whole = JSON.parse(FORMATS.json(SEGMENTS, DONE));
  assert.deepEqual(Object.keys(whole), ["duration", "text", "segments", "words", "usage"]);
  assert.deepEqual(whole.segments[0], { id: 0, start: 0, end: 1.5, text: "раз & два" });
  assert.deepEqual(whole.words.map(({ word }) => word).join(" "), DONE.text);
});

test("a stream that broke off makes the same object of what had come", () => {
  const part = JSON.parse(FORMATS.json(SEGMENTS.slice(0, 2), null));
  assert.equal(part.text, FORMATS.txt(SEGMENTS.slice(0, 2), null));
  assert.equal(part.text, "раз & два <b> --> три");
  assert.equal(part.duration, 4.5);
  assert.equal(part.words.length, 6);
});

test("subtitles cannot be mistaken for their own syntax", () => {
  assert.equal(
    FORMATS.srt(SEGMENTS, DONE),
    "1\n00:00:00,000 --> 00:00:01,500\nраз & два\n\n" +
      "2\n00:00:02,000 --> 00:00:04,500\n<b> → три\n\n" +
      "3\n01:02:05,250 --> 10:00:00,000\nвсё\n\n",
  );
  assert.equal(
    FORMATS.vtt(SEGMENTS, DONE),
    "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nраз &amp; два\n\n" +
      "00:00:02.000 --> 00:00:04.500\n&lt;b&gt; --&gt; три\n\n" +
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
