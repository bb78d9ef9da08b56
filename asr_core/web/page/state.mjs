// Everything that the page knows, and how it comes to know it. What is shown follows from it.

import { Problem } from "./answers.mjs";

export function newState(language) {
  return {
    language,
    phase: "idle", // or asking (the browser asks for the microphone), recording, sending, hearing, over
    key: "unneeded", // or wanted, wrong, accepted
    server: null, // GET /health; null before it was asked, undefined while it does not answer
    note: null, // why there is no microphone: the name of a string
    ...nothing(),
  };
}

/** Without a recording. */
const nothing = () => ({
  file: null,
  sent: 0, // how much of it, 0..1
  duration: NaN, // seconds, as soon as anybody knows
  segments: [],
  words: [], // of all segments: `text`, `start`, `end`
  done: null, // the stream's last object
  problem: null, // a Problem, or "cancelled"
  beganAt: 0, // ms: when it was sent
  tookS: 0,
});

export const isBusy = (state) => state.phase === "sending" || state.phase === "hearing";

/** May another recording take the place of this one? */
export const isFree = (state) => !isBusy(state) && state.phase !== "recording";

/** `file` is on its way. */
export function begin(state, file, now) {
  Object.assign(state, nothing(), { file, phase: "sending", note: null, beganAt: now });
}

/** `sent` of the file, 0..1, has left. */
export function send(state, sent, now) {
  state.sent = sent;
  if (sent === 1 && state.phase === "sending") Object.assign(state, { phase: "hearing", beganAt: now });
}

/** Segments have been recognised. */
export function hear(state, segments) {
  for (const segment of segments) {
    state.words.push(...segment.words.map(({ word, start, end }) => ({ text: word, start, end })));
  }
  state.segments.push(...segments);
}

/** The whole has been recognised. */
export function finish(state, done, now) {
  Object.assign(state, { phase: "over", done, tookS: (now - state.beganAt) / 1000 });
  if (!Number.isFinite(state.duration)) state.duration = done.duration;
  if (state.key === "wanted" || state.key === "wrong") state.key = "accepted";
}

/** It came to nothing, or not to all: `problem`. `hasKey`: was a key sent along? */
export function fail(state, problem, hasKey) {
  Object.assign(state, { phase: "over", problem });
  if (problem instanceof Problem && problem.status === 401) state.key = hasKey ? "wrong" : "wanted";
}

/** Ready for another recording. */
export function forget(state) {
  Object.assign(state, nothing(), { phase: "idle" });
}

/** How much is done of what is being done, 0..1; null if nobody can tell. */
export function fraction(state) {
  if (state.phase === "sending") return state.sent;
  const heard = heardS(state);
  return heard && Number.isFinite(state.duration) ? Math.min(1, heard / state.duration) : null;
}

/** Seconds that have been recognised. */
export const heardS = (state) => state.segments.at(-1)?.end ?? 0;
