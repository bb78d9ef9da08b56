// Segments → cues, by the server's own rule (asr_core/text/cues.py): the same words give the same subtitles.

const MIN_MS = 1000;
const GAP_MS = 100;
const CHARS_PER_S = 17;
const MAX_MS = 7000;
const JOINING_PAUSE_MS = 600;
const LINE_WIDTH = 42;
const LINE_COUNT = 2;
const CUT_BONUS = 12;

/** What to show from `start` until before `end`, ms: `lines`, and who says them, where that is known. Of segments with words, in a recording of `duration` s. */
export function* cues(segments, duration) {
  const groups = [...grouped(segments)];
  let now = 0;
  for (const [i, { words, speaker }] of groups.entries()) {
    const lines = layOut(words);
    const start = Math.max(now, words[0].start);
    const spoken = Math.max(start + 1, words.at(-1).end);
    const reading = Math.floor((sum(lines.map(size)) * 1000) / CHARS_PER_S);
    const readable = start + Math.min(Math.max(MIN_MS, reading), MAX_MS);
    const next = groups[i + 1];
    const free = next ? next.words[0].start - GAP_MS : Math.max(ms(duration), start + MIN_MS);
    now = Math.max(spoken, Math.min(readable, free));
    yield { start, end: now, lines, speaker };
  }
}

/** The words of each cue: a segment's, unless they are too many, or one alone that has a neighbour near by. */
function* grouped(segments) {
  let held = [];
  let speaker;
  for (const segment of segments) {
    const spoken = segment.words.map(({ word, start, end }) => ({ text: word, start: ms(start), end: ms(end) }));
    for (const words of fitting(spoken)) {
      if (held.length && segment.speaker === speaker && belongTogether(held, words)) {
        const parts = [...fitting([...held, ...words])];
        held = parts.pop();
        yield* parts.map((words) => ({ words, speaker }));
      } else {
        if (held.length) yield { words: held, speaker };
        held = words;
        speaker = segment.speaker;
      }
    }
  }
  if (held.length) yield { words: held, speaker };
}

function belongTogether(words, following) {
  return (words.length === 1 || following.length === 1) && following[0].start - words.at(-1).end < JOINING_PAUSE_MS;
}

/** `words` in parts that fit, of about the same length. */
function* fitting(words) {
  if (words.length === 1 || fits(words)) {
    yield words;
    return;
  }
  const cut = bestCut(words);
  yield* fitting(words.slice(0, cut));
  yield* fitting(words.slice(cut));
}

function fits(words) {
  return words.at(-1).end - words[0].start <= MAX_MS && filled(words, LINE_WIDTH).length <= LINE_COUNT;
}

/** Where to part `words`: near the middle of the text, rather after a comma or in a pause. */
function bestCut(words) {
  let length = 0;
  const lengths = words.map((word) => (length += size(word.text) + 1));
  let best = { cut: 0, cost: Infinity };
  for (let cut = 1; cut < words.length; cut++) {
    const [before, after] = [words[cut - 1], words[cut]];
    const longerPart = Math.max(lengths[cut - 1], length - lengths[cut - 1]);
    const pause = Math.min(1, (after.start - before.end) / JOINING_PAUSE_MS);
    const cost = longerPart - CUT_BONUS * (pause + (/[\p{L}\p{N}]$/u.test(before.text) ? 0 : 1));
    if (cost < best.cost) best = { cut, cost };
  }
  return best.cut;
}

/** As few lines as there can be, and those as even as they can be. */
function layOut(words) {
  const widest = filled(words, LINE_WIDTH);
  for (let width = Math.floor(sum(widest.map(size)) / widest.length); width < LINE_WIDTH; width++) {
    const lines = filled(words, width);
    if (lines.length === widest.length) return lines;
  }
  return widest;
}

/** Lines of at most `width` characters, each with as many words as fit, and at least one. */
function filled(words, width) {
  const lines = [];
  let room = 0;
  for (const { text } of words) {
    const length = size(text);
    if (lines.length && length + 1 <= room) {
      lines[lines.length - 1] += " " + text;
      room -= length + 1;
    } else {
      lines.push(text);
      room = width - length;
    }
  }
  return lines;
}

/** Seconds, as the server tells them, in whole milliseconds. */
const ms = (seconds) => Math.round(seconds * 1000);

/** In characters, as Unicode counts them. */
const size = (text) => [...text].length;

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
