// Everything that the page knows, and the steps in which several things of it change together. What is shown follows.

export function newState(language) {
  return {
    language,
    phase: "idle", // or asking (the browser asks for the microphone), recording, sending, hearing, over
    key: "unneeded", // or accepted; wanted, wrong, unanswered (entered, but the server did not say): the user is asked
    server: null, // GET /health; null before it was asked, undefined while it does not answer
    note: null, // why there is no microphone: the name of a string
    isMicrophoneLost: false, // while it was recording
    news: null, // what is said to those who do not see the page: a string's `name` and its `values`
    question: null, // what `loss` says, while the user is asked whether it may be lost
    copied: null, // how the last copying went, for a moment: the name of a string
    ...nothing(),
  };
}

/** Without a recording. */
const nothing = () => ({
  file: null,
  isRecorded: false, // by this page: then the sound is nowhere else
  isSoundSaved: false,
  others: 0, // files that were dropped together with it, and are left out
  sent: 0, // how much of it, 0..1
  duration: NaN, // seconds, as soon as anybody knows
  segments: [],
  words: [], // of all segments: `text`, `start`, `end`, and the number of its speaker's `colour`
  isTextSaved: false,
  done: null, // the stream's last object
  problem: null, // a Problem
  beganAt: 0, // ms: when all of it was sent
  tookS: 0,
});

export const isBusy = (state) => state.phase === "sending" || state.phase === "hearing";
export const isKeyAsked = (state) => ["wanted", "wrong", "unanswered"].includes(state.key);

/** May another recording take the place of this one? */
export const isFree = (state) => !isBusy(state) && state.phase !== "recording" && !state.question;

/** What would be lost for good if `next` came in the place of this recording: the string that says it, or null. */
export function loss(state, next = null) {
  if (state.phase !== "over") return null;
  const hasText = state.segments.length > 0;
  if (hasText && !state.isTextSaved) return "unsaved_text";
  const isHeard = hasText && state.done;
  return state.isRecorded && !state.isSoundSaved && !isHeard && next !== state.file ? "unsaved_sound" : null;
}

export function say(state, name, values = {}) {
  state.news = { name, values };
}

/** There is no microphone, for this reason. */
export function explain(state, reason) {
  Object.assign(state, { phase: "idle", note: reason });
  say(state, reason);
}

export function record(state) {
  Object.assign(state, { phase: "recording", note: null, isMicrophoneLost: false });
  say(state, "recording");
}

/** The microphone has vanished; what it had recorded has not. */
export function loseMicrophone(state) {
  state.isMicrophoneLost = true;
  say(state, "mic_lost");
}

/** `file` is on its way; `isRecorded` and `others` as in the state, which remembers the first of the same file. */
export function begin(state, file, now, { isRecorded = false, others = 0 } = {}) {
  const { isSoundSaved } = state;
  const known = file === state.file ? { isRecorded: state.isRecorded, isSoundSaved } : { isRecorded };
  Object.assign(state, nothing(), known, { file, others, phase: "sending", note: null, beganAt: now });
  say(state, "begun");
}

/** `sent` of the file, 0..1, has left. */
export function send(state, sent, now) {
  state.sent = sent;
  if (sent < 1 || state.phase !== "sending") return;
  Object.assign(state, { phase: "hearing", beganAt: now });
  say(state, "waiting");
}

/** Segments have been recognised; `speakers` know whose colour is which. */
export function hear(state, segments, speakers) {
  for (const segment of segments) {
    const colour = segment.speaker === undefined ? {} : { colour: speakers.colour(segment.speaker) };
    state.words.push(...segment.words.map(({ word, start, end }) => ({ text: word, start, end, ...colour })));
  }
  state.segments.push(...segments);
}

/** The whole has been recognised. */
export function finish(state, done, now) {
  Object.assign(state, { phase: "over", done, tookS: (now - state.beganAt) / 1000 });
  if (!Number.isFinite(state.duration)) state.duration = done.duration;
  if (isKeyAsked(state)) state.key = "accepted";
  say(state, state.segments.length ? "done" : "silence");
}

/** It came to nothing, or not to all. `hasKey`: was a key sent along? The problem is an alert, and needs no news. */
export function fail(state, problem, hasKey) {
  Object.assign(state, { phase: "over", problem, news: null });
  if (problem.status === 401) judgeKey(state, 401, hasKey);
}

/** Ready for another recording. */
export function forget(state) {
  Object.assign(state, nothing(), { phase: "idle", news: null });
}

/** The server, asked for something small, has answered with `status`; anything but 200 and 401 tells nothing of keys. */
export function judgeKey(state, status, hasKey) {
  if (status === 200) state.key = hasKey ? "accepted" : "unneeded";
  else if (status === 401) state.key = hasKey ? "wrong" : "wanted";
  else if (isKeyAsked(state)) state.key = "unanswered";
}

/** How much is done of what is being done, 0..1; null if nobody can tell. */
export function fraction(state) {
  if (state.phase === "sending") return state.sent;
  const heard = heardS(state);
  return heard && Number.isFinite(state.duration) ? Math.min(1, heard / state.duration) : null;
}

/** Seconds that have been recognised. */
export const heardS = (state) => state.segments.at(-1)?.end ?? 0;
