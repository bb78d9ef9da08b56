"""PURE: what was heard, chunk by chunk → the segments of one recording."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from statistics import fmean

from asr_core.text.words import SpokenWord, segments, spoken_words
from asr_core.types import SAMPLE_RATE, Chunk, Hypothesis, Segment, Span

UNLIKELY = -0.5
"""Words that are heard where the VAD hears nobody count only if the mean log-probability of their tokens is higher (a
probability of 0.6). The bundled model is surer than that of nearly all that is said in noise of 5 dB, at whatever
level, and less sure of what it makes of music."""

SAME_PLACE = SAMPLE_RATE * 4 // 10
"""A word heard from both sides of a cut has its middle in the same place, give or take so many samples."""

NEAR_CUT = SAMPLE_RATE
"""From a cut, samples: further away one of the two sides has hardly heard what comes before or after a word."""

_PUNCTUATION = re.compile(r"\W")


class Writer:
    """One recording's hypotheses in, its segments out, both in order.

    What is said where two chunks overlap is heard twice and written once: so the words of a chunk that `goes_on` wait
    for the next one's.
    """

    def __init__(self) -> None:
        self._n_segments = 0
        self._held: tuple[Chunk, list[SpokenWord]] | None = None

    @property
    def waits_from(self) -> int | None:
        """Where what is held began to be heard, samples; None where nothing is."""
        return None if self._held is None else self._held[0].heard.start

    def write(self, chunk: Chunk, hypothesis: Hypothesis) -> list[Segment]:
        """Take what was heard in the next chunk; give the segments that this settles."""
        words = likely(list(spoken_words(hypothesis, chunk.heard)), chunk.doubtful)
        written: list[Segment] = []
        if self._held is not None:
            before, earlier = self._held
            earlier, words = joined(earlier, words, chunk.span.start)
            written += self._write(before, earlier)
        self._held = (chunk, words) if chunk.goes_on else None
        return written if chunk.goes_on else written + self._write(chunk, words)

    def flush(self) -> list[Segment]:
        """Give what was held, after the last chunk."""
        held, self._held = self._held, None
        return [] if held is None else self._write(*held)

    def _write(self, chunk: Chunk, words: Sequence[SpokenWord]) -> list[Segment]:
        written = segments(chunk, words, self._n_segments)
        self._n_segments += len(written)
        return written


def likely(words: Sequence[SpokenWord], doubtful: Sequence[Span]) -> list[SpokenWord]:
    """The words without those of each doubtful span that are, taken together, unlikely."""
    dropped: set[int] = set()
    for span in doubtful:
        inside = [index for index, word in enumerate(words) if span.start <= word.middle < span.end]
        log_probs = [token.log_prob for index in inside for token in words[index].tokens]
        if log_probs and fmean(log_probs) <= UNLIKELY:
            dropped.update(inside)
    return [word for index, word in enumerate(words) if index not in dropped]


def joined(
    before: Sequence[SpokenWord], after: Sequence[SpokenWord], cut: int
) -> tuple[list[SpokenWord], list[SpokenWord]]:
    """What each side of a cut contributes, so that every word that both have heard is there once.

    From one side to the other it goes at the word nearest to the cut that both have heard alike; where there is none,
    at the cut, and of words across it the likeliest counts.
    """
    same = [
        (abs(one.middle + other.middle - 2 * cut), i, j)
        for i, one in enumerate(before)
        for j, other in enumerate(after)
        if abs(one.middle - other.middle) <= SAME_PLACE and _letters(one) == _letters(other)
    ]
    distance, i, j = min(same, default=(2 * NEAR_CUT, 0, 0))
    if distance < 2 * NEAR_CUT:
        left, right = [*before[: i + 1]], after[j + 1 :]
    else:
        left, right = _split(before, after, cut)
    words = _in_order([*left, *right])
    return words[: len(left)], words[len(left) :]


def _split(
    before: Sequence[SpokenWord], after: Sequence[SpokenWord], cut: int
) -> tuple[list[SpokenWord], list[SpokenWord]]:
    left = [word for word in before if word.span.end <= cut]
    right = [word for word in after if word.span.start >= cut]
    across = [word for word in chain(before, after) if word.span.start < cut < word.span.end]
    likeliest = max(across, key=lambda word: word.log_prob, default=None)
    if likeliest is not None and not any(_covers(other, likeliest) for other in (*left[-1:], *right[:1])):
        left.append(likeliest)
    return left, right


def _letters(word: SpokenWord) -> str:
    return _PUNCTUATION.sub("", word.text).casefold()


def _covers(other: SpokenWord, word: SpokenWord) -> bool:
    """Whether the two share more than half of the shorter one's time: they are then one word, heard in two ways."""
    shared = min(other.span.end, word.span.end) - max(other.span.start, word.span.start)
    return 2 * shared > min(len(other.span), len(word.span))


def _in_order(words: Iterable[SpokenWord]) -> list[SpokenWord]:
    """The words with times that never go backwards."""
    ordered: list[SpokenWord] = []
    end = 0
    for word in words:
        start, end = max(word.span.start, end), max(word.span.end, end)
        ordered.append(replace(word, span=Span(start, end)))
    return ordered
