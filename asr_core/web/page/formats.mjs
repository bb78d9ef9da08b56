// What can be downloaded: byte for byte what the server answers in the same format, but that text says who spoke.

import { cues } from "./cues.mjs";

/** OpenAI's `verbose_json` object with segments and words, from a stream's segments and its last object. */
function verboseJson(segments, done) {
  const { type: _, usage, ...head } = done ?? cutShort(segments);
  return {
    ...head,
    segments: segments.map(({ type, words, ...segment }) => segment),
    words: segments.flatMap((segment) => segment.words),
    ...(usage && { usage }),
  };
}

/** The head of what there is when a stream broke off. */
function cutShort(segments) {
  const text = segments.map((segment) => segment.text).join(" ");
  return { task: "transcribe", language: "russian", duration: segments.at(-1).end, text };
}

/** From a stream's segments and its last object, null if it broke off, to the text of a file with that ending. */
export const FORMATS = {
  txt: (segments, done) => turns(segments) ?? (done ?? cutShort(segments)).text,
  srt: (segments, done) =>
    shown(segments, done)
      .map((cue, i) => `${i + 1}\n${timing(cue, ",")}\n${said(cue).replaceAll("-->", "→")}\n\n`)
      .join(""),
  vtt: (segments, done) =>
    "WEBVTT\n\n" +
    shown(segments, done).map((cue) => `${timing(cue, ".")}\n${voice(cue)}${escaped(cue.text)}\n\n`).join(""),
  json: (segments, done) => JSON.stringify(verboseJson(segments, done), null, 2),
};

/** A line for each turn, with its speaker; null where nobody is told apart. */
function turns(segments) {
  if (!segments.some(({ speaker }) => speaker !== undefined)) return null;
  const lines = [];
  let before;
  for (const { speaker, text } of segments) {
    if (lines.length && speaker === before) lines.push(`${lines.pop()} ${text}`);
    else lines.push(`${speaker}: ${text}`);
    before = speaker;
  }
  return lines.join("\n");
}

/** A file's name for what was made of the recording `name`. */
export function downloadName(name, ending) {
  const stem = name.replace(/\.[^.]{1,5}$/, "").replace(/[/\\:*?"<>|]/g, "-");
  return `${stem || "text"}.${ending}`;
}

/** What the name of a file with a browser's recording of this media type ends in. */
export function soundEnding(type) {
  const [kind] = type.replace(/^\w+\//, "").split(";");
  return kind === "mp4" ? "m4a" : kind;
}

function shown(segments, done) {
  const found = [...cues(segments, (done ?? cutShort(segments)).duration)];
  return found.map(({ start, end, lines, speaker }) => ({ start, end, speaker, text: lines.join("\n") }));
}

const timing = (cue, mark) => `${stamp(cue.start, mark)} --> ${stamp(cue.end, mark)}`;

function stamp(ms, mark) {
  const pad = (n, width) => String(n).padStart(width, "0");
  const s = Math.floor(ms / 1000);
  return `${pad(Math.floor(s / 3600), 2)}:${pad(Math.floor(s / 60) % 60, 2)}:${pad(s % 60, 2)}${mark}${pad(ms % 1000, 3)}`;
}

const said = (cue) => (cue.speaker === undefined ? cue.text : `${cue.speaker}: ${cue.text}`);

const voice = (cue) => (cue.speaker === undefined ? "" : `<v ${escaped(cue.speaker)}>`);

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
