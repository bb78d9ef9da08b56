// Moments of a recording, in seconds from its beginning.

const LINGER_S = 0.4; // a word stays marked so long after its end, unless the next one begins

/** 75.9 → "1:15", 3675 → "1:01:15". */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** The index of the last of `items`, sorted by `start`, that has begun at `position`; -1 before the first. */
export function lastBegun(items, position) {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].start <= position) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The index of the one of `words`, with `start` and `end`, that is heard at `now`; -1 between them. */
export function wordAt(words, now) {
  const index = lastBegun(words, now);
  if (index < 0) return -1;
  const { end } = words[index];
  const next = words[index + 1]?.start ?? Infinity;
  return now < Math.max(end, Math.min(end + LINGER_S, next)) ? index : -1;
}
