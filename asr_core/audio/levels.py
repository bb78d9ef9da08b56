"""PURE: loudness. A levelled copy for the VAD to find quiet voices in; quiet spans made as loud as their neighbours.

Levels are of 16 kHz int16 samples, in dB of full scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from asr_core.types import INT16_SCALE, SAMPLE_RATE, Pcm, Span

REACH = SAMPLE_RATE // 5
"""The levelled copy's level at a sample is that of so many samples on either side of it."""

LEVELLED_RMS = 0.08
"""What the copy is levelled to: that of ordinary speech."""

LEVELLED_GAIN = 30.0
"""The most that the copy is amplified: at 10 voices at -40 dB are found as well, 100 finds no more of them."""

FRAME = SAMPLE_RATE // 50
"""Samples that one value of loudness stands for, when the level of a span is measured."""

ORDINARY_DB = -30.0
"""The quietest of what recordings of speech usually are."""

DROP_DB = 20.0
"""A voice so much quieter than the loudest is lost on a model: the bundled one hears nearly all at -20 dB, and ever
less of what is quieter than -25."""

MAX_GAIN_DB = 40.0

SOFT_FRAMES = 15
"""Frames (0.3 s) on either side, among which the loudest says how loud a voice is: words have no softer stretches."""

STEP_DB, QUIET_FRAMES = 10.0, 50
"""What is so much quieter in a voice for so many frames (1 s) may be another voice, and is no breath. Within a sentence
there may be 15 dB: only what is lost beside the rest is treated as another."""


class Leveller:
    """Sound in, in any blocks; the same sound out with its loudness evened, `REACH` samples late."""

    def __init__(self) -> None:
        self._sound: Pcm = np.empty(0, np.int16)  # what is not levelled yet, and up to REACH samples before it
        self._n_before = 0  # how many of them

    def push(self, block: Pcm) -> NDArray[np.float32]:
        """Take int16 samples [S]; give the floats, in [-1, 1], whose surroundings are known."""
        pieces = [np.empty(0, np.float32)]
        for start in range(0, len(block), SAMPLE_RATE):  # a second at a time, for its energy takes far more memory
            self._sound = np.concatenate((self._sound, block[start : start + SAMPLE_RATE]))
            pieces.append(self._level(len(self._sound) - REACH))
        return np.concatenate(pieces)

    def flush(self) -> NDArray[np.float32]:
        return self._level(len(self._sound))

    def _level(self, end: int) -> NDArray[np.float32]:
        begin = self._n_before
        if end <= begin:
            return np.empty(0, np.float32)
        energy = np.concatenate(([0], np.cumsum(self._sound.astype(np.int64) ** 2)))  # whole numbers: exact
        positions = np.arange(begin, end)
        first, last = np.maximum(positions - REACH, 0), np.minimum(positions + REACH, len(self._sound))
        rms = np.sqrt((energy[last] - energy[first]) / (last - first)) / INT16_SCALE
        gain = LEVELLED_RMS / np.maximum(rms, LEVELLED_RMS / LEVELLED_GAIN)
        levelled: NDArray[np.float32] = (self._sound[begin:end] * (gain / INT16_SCALE)).clip(-1, 1).astype(np.float32)
        self._n_before = min(end, REACH)
        self._sound = self._sound[end - self._n_before :]
        return levelled


def level_db(sound: Pcm) -> float:
    """How loud the loud tenth of `sound`, [S], is: pauses in it do not count."""
    return float(10 * np.log10(max(np.percentile(_powers(sound), 90), 1e-10)))


def evened(sound: Pcm, voices: Sequence[Span], is_speech: Callable[[Span], bool]) -> Pcm:
    """`sound`, [S], in which voices that are far quieter than the loudest, or than any ordinary speech, are louder.

    `voices` are where somebody speaks; one may hold a loud voice and a quiet one, or noise: if it is not of one level,
    `is_speech` is asked about its parts. A gain holds all through a voice and
    changes from one to the next, in the pause if there is one. Where none is that quiet, the sound is returned as it
    is.
    """
    parts = [part for voice in voices for part in _of_one_level(sound, voice, is_speech)]
    levels = [level_db(sound[part.start : part.end]) for part in parts]
    loudest = max([ORDINARY_DB, *levels])
    gains = np.array([min(loudest - level, MAX_GAIN_DB) if level < loudest - DROP_DB else 0.0 for level in levels])
    if not gains.any():
        return sound
    edges = [edge for part in parts for edge in (part.start, part.end)]
    curve = np.interp(np.arange(len(sound)), edges, gains.repeat(2))
    limits = np.iinfo(np.int16)
    louder: Pcm = (sound * 10 ** (curve / 20)).round().clip(limits.min, limits.max).astype(np.int16)
    return louder


def _powers(sound: Pcm) -> NDArray[np.float64]:
    """The mean square of each whole frame of `sound`, [S] → [F]; of all of it, if it is shorter than one."""
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME) if len(sound) > FRAME else sound[None]
    energy = np.einsum("ij,ij->i", frames, frames, dtype=np.float64)  # piece by piece, without a copy of all
    powers: NDArray[np.float64] = energy / (frames.shape[1] * INT16_SCALE**2)
    return powers


def _of_one_level(sound: Pcm, voice: Span, is_speech: Callable[[Span], bool]) -> list[Span]:
    """`voice` in pieces, those a model would lose beside the loudest apart from the others; whole, as a rule."""
    powers = _powers(sound[voice.start : voice.end])
    edges = [
        (voice.start + first * FRAME, voice.end if last == len(powers) else voice.start + last * FRAME)
        for first, last in _parts(powers, 0, len(powers))
    ]
    parts = [Span(start, end) for start, end in edges]
    levels = [level_db(sound[part.start : part.end]) for part in parts]
    is_lost = [level < max(levels) - DROP_DB for level in levels]
    if not any(is_lost):
        return [voice]
    alike = [[part for part, _ in group] for _, group in groupby(zip(parts, is_lost, strict=True), itemgetter(1))]
    return [part for part in (Span(group[0].start, group[-1].end) for group in alike) if is_speech(part)]


def _parts(powers: NDArray[np.float64], first: int, last: int) -> Iterator[tuple[int, int]]:
    """The frames from `first` to `last`, cut where they become far quieter for long, and where they are loud again."""
    loudness = _closing(powers[first:last])
    quiet = loudness < loudness.max() * 10 ** (-STEP_DB / 10)
    turns = [first, *(np.flatnonzero(np.diff(quiet)) + first + 1).tolist(), last]
    at = first
    for start, end in pairwise(turns):
        if quiet[start - first] and end - start >= QUIET_FRAMES:
            begin = start + int(powers[start : start + SOFT_FRAMES].argmin()) if start > first else start
            stop = end - int(powers[end - SOFT_FRAMES : end][::-1].argmin()) if end < last else end
            if begin > at:
                yield at, begin
            yield from _parts(powers, begin, stop)
            at = stop
    if at < last:
        yield at, last


def _closing(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Morphological closing of values, [F] → [F]: dips of up to `2 * SOFT_FRAMES` are filled, steps stay in place."""
    width = 2 * SOFT_FRAMES + 1
    dilated = sliding_window_view(np.pad(values, SOFT_FRAMES), width).max(1)
    surrounded = np.pad(dilated, SOFT_FRAMES, constant_values=np.inf)
    closed: NDArray[np.float64] = sliding_window_view(surrounded, width).min(1)
    return closed
