"""PURE: which speaker says which word, and segments that end where the speaker changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from asr_core.speakers.held import Times
from asr_core.types import SAMPLE_RATE, Segment, Token

Likeness = NDArray[np.float32]
"""Of windows or words to speakers, [N, K]."""

Edges = NDArray[np.int64]
"""Where windows begin and end, samples: [N, 2]."""

WINDOW_S = 1.6
"""Words that take so long together weigh as much as one window does."""

CHANGE = 0.12
"""What a change of speaker costs, as likeness of one window: a change back and forth must explain more than that."""
CHANGE_IN_PAUSE = 0.04
PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class Heard:
    """Windows of one recording in order of time, and how like each speaker each of them is."""

    edges: Edges
    likeness: Likeness


def who_says(words: Times, heard: Heard) -> list[int]:
    """The most likely speaker of each word (Viterbi): as the windows around it sound, with as few changes as can be."""
    evidence = _evidence(words, heard)
    if not len(words):
        return []
    score = evidence[0].copy()
    came_from = np.empty(evidence.shape, np.int16)
    for n in range(1, len(words)):
        in_pause = words[n, 0] - words[n - 1, 1] >= PAUSE_S
        changed = score.max() - (CHANGE_IN_PAUSE if in_pause else CHANGE)
        came_from[n] = np.where(score >= changed, np.arange(len(score)), score.argmax())
        score = np.maximum(score, changed) + evidence[n]
    speakers = [int(score.argmax())]
    for origins in came_from[:0:-1]:
        speakers.append(int(origins[speakers[-1]]))
    return speakers[::-1]


def _evidence(words: Times, heard: Heard) -> Likeness:
    """[W, K]: how like each speaker the windows are that hold the middle of a word, the nearer ones more so."""
    evidence = np.zeros((len(words), heard.likeness.shape[1]), np.float32)
    starts, ends = heard.edges.T / SAMPLE_RATE
    first = 0
    for n, (start_s, end_s) in enumerate(words.tolist()):
        middle = (start_s + end_s) / 2
        while first < len(starts) and starts[first] < middle - 2 * WINDOW_S:
            first += 1
        near = slice(first, first + int(np.searchsorted(starts[first:], middle + WINDOW_S)))
        distance = np.abs((starts[near] + ends[near]) / 2 - middle) / np.maximum(ends[near] - starts[near], 0.1)
        closeness = np.maximum(0.0, 0.75 - distance)
        if closeness.sum() > 0:
            lasts = min(max(end_s - start_s, 0.1), WINDOW_S) / WINDOW_S
            evidence[n] = lasts * (closeness @ heard.likeness[near]) / closeness.sum()
    return evidence


def split(segments: Iterable[Segment], speakers: Sequence[str]) -> Iterator[Segment]:
    """The segments, numbered anew, each with one speaker; `speakers` are those of all their words, in order."""
    at = index = 0
    for segment in segments:
        here = speakers[at : at + len(segment.words)]
        at += len(segment.words)
        first = 0
        for speaker, run in groupby(here):
            last = first + len(list(run))
            part = segment if last - first == len(segment.words) else _part(segment, first, last)
            yield replace(part, index=index, speaker=speaker)
            index, first = index + 1, last


def _part(segment: Segment, first: int, last: int) -> Segment:
    words = segment.words[first:last]
    tokens = tokens_of(segment, first, last)
    return replace(
        segment,
        start_s=words[0].start_s,
        end_s=words[-1].end_s,
        text=" ".join(word.text for word in words),
        words=words,
        tokens=tokens,
        avg_logprob=fmean(token.log_prob for token in tokens) if tokens else segment.avg_logprob,
    )


def tokens_of(segment: Segment, first: int, last: int) -> tuple[Token, ...]:
    """The tokens that spell the words `first` to `last` of the segment, without the space before them."""
    begin = sum(len(word.text) + 1 for word in segment.words[:first])
    end = sum(len(word.text) + 1 for word in segment.words[:last]) - 1
    found: list[Token] = []
    at = 0
    for token in segment.tokens:
        text = token.text[max(0, begin - at) : max(0, end - at)]
        at += len(token.text)
        if text:
            found.append(replace(token, text=text))
    return tuple(found)
