"""PURE: a chunk's speech → the windows that voiceprints are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Chunk, Pcm, Span

SPEECH = 0.5
"""Probability from which on a VAD window is speech: doubtful sound says little of a voice."""

SHORTEST_PAUSE = SAMPLE_RATE // 10
"""Speakers change in pauses: stretches of speech end at one this long, samples, and windows with them."""

BREATH = SAMPLE_RATE * 4 // 10
"""A stretch that fills no window takes in what is nearest of its neighbours beyond shorter pauses, samples: half a
second of somebody is hardly like two others of theirs, and speakers seldom change so fast."""

SHORTEST_SPEECH = SAMPLE_RATE // 4
"""Less speech between two pauses, samples, is not looked at."""


@dataclass(frozen=True, slots=True)
class Windows:
    """What of a chunk is to be compared: `sound`, and in it the beginning of each window."""

    sound: Pcm
    starts: list[int]
    spans: list[Span]
    """Of the recording: what each window tells of."""
    shares: list[float]
    """How much of each window is filled; less than a window is repeated until it fills one."""


def windows(chunk: Chunk, window: int) -> Windows:
    """Windows of `window` samples, half overlapping, over each stretch of speech."""
    pieces: list[Pcm] = [np.empty(0, np.int16)]
    starts: list[int] = []
    spans: list[Span] = []
    shares: list[float] = []
    length = 0
    found = list(stretches(chunk))
    for n, stretch in enumerate(found):
        sound = np.concatenate([_sound_of(part, chunk) for part in _around(found, n, window)])
        for at in _offsets(len(sound), window):
            starts.append(length + at)
            spans.append(Span(stretch.start + at, min(stretch.start + at + window, stretch.end)))
            shares.append(min(1.0, len(sound) / window))
        pieces.append(np.resize(sound, max(len(sound), window)))
        length += len(pieces[-1])
    return Windows(np.concatenate(pieces), starts, spans, shares)


def _around(found: Sequence[Span], n: int, window: int) -> list[Span]:
    """Stretch `n` and, until they fill a window together, what is nearest to it beyond pauses shorter than a breath."""
    parts = [found[n]]
    first, last, missing = n, n, window - len(found[n])
    while missing > 0:
        before = found[first].start - found[first - 1].end if first > 0 else BREATH
        after = found[last + 1].start - found[last].end if last + 1 < len(found) else BREATH
        if min(before, after) >= BREATH:
            break
        if before <= after:
            first -= 1
            parts.insert(0, Span(max(found[first].start, found[first].end - missing), found[first].end))
            missing -= len(parts[0])
        else:
            last += 1
            parts.append(Span(found[last].start, min(found[last].end, found[last].start + missing)))
            missing -= len(parts[-1])
    return parts


def stretches(chunk: Chunk) -> Iterator[Span]:
    """Where somebody speaks in the chunk without a pause, in the recording's samples."""
    begin = chunk.heard.start // VAD_WINDOW * VAD_WINDOW
    speech = np.concatenate(([False], chunk.speech_probs >= SPEECH, [False]))
    edges = begin + np.flatnonzero(np.diff(speech)) * VAD_WINDOW
    held: Span | None = None
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if held is not None and start - held.end < SHORTEST_PAUSE:
            held = Span(held.start, end)
            continue
        yield from _worth_it(held, chunk)
        held = Span(start, end)
    yield from _worth_it(held, chunk)


def _sound_of(span: Span, chunk: Chunk) -> Pcm:
    return chunk.pcm[span.start - chunk.heard.start : span.end - chunk.heard.start]


def _worth_it(span: Span | None, chunk: Chunk) -> Iterator[Span]:
    if span is not None:
        start, end = max(span.start, chunk.span.start), min(span.end, chunk.span.end)
        if end - start >= SHORTEST_SPEECH:
            yield Span(start, end)


def _offsets(length: int, window: int) -> list[int]:
    """Every half window, and one that ends with the stretch."""
    last = max(0, length - window)
    return [*range(0, last, window // 2), last] if last else [0]
