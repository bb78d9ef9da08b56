"""PURE: loudness. A levelled copy for the VAD to find quiet voices in; quiet spans made as loud as their neighbours.

Levels are of 16 kHz int16 samples, in dB of full scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
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

DROP_DB = 25.0
"""A span so much quieter than the loudest is lost on a model: the bundled one hears all at -20 dB, and ever less of
what is quieter than -25."""

MAX_GAIN_DB = 40.0


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
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME) if len(sound) > FRAME else sound[None]
    energy = np.einsum("ij,ij->i", frames, frames, dtype=np.float64)  # piece by piece, without a copy of all
    power = np.percentile(energy / frames.shape[1], 90) / INT16_SCALE**2
    return float(10 * np.log10(max(power, 1e-10)))


def evened(sound: Pcm, voices: Sequence[Span]) -> Pcm:
    """`sound`, [S], in which `voices` that are far quieter than the loudest, or than any ordinary speech, are louder.

    The gain of a span holds all through it and changes from span to span in the pause between. Where no span is that
    quiet, the sound is returned as it is.
    """
    levels = np.array([level_db(sound[voice.start : voice.end]) for voice in voices])
    loudest = max([ORDINARY_DB, *levels])
    gains = np.where(levels < loudest - DROP_DB, np.minimum(loudest - levels, MAX_GAIN_DB), 0.0)
    if not gains.any():
        return sound
    edges = [edge for voice in voices for edge in (voice.start, voice.end)]
    curve = np.interp(np.arange(len(sound)), edges, gains.repeat(2))
    limits = np.iinfo(np.int16)
    louder: Pcm = (sound * 10 ** (curve / 20)).round().clip(limits.min, limits.max).astype(np.int16)
    return louder
