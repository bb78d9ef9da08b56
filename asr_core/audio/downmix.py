"""Decoded sound → int16 mono at a level that the models know. Pure: arrays in, arrays out.

Nothing happens to ordinary sound. Floats beyond full scale, or so faint that int16 would not hold them, are brought to
a normal level; and where two channels would cancel each other when they are mixed, one of them is heard alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asr_core.types import INT16_SCALE, SAMPLE_RATE, Pcm

Sound = NDArray[np.float32]
"""Samples at 16 kHz, shape [S, 1] for one channel; [S, 2] for the mixture of several, (left + right) / 2, and their
difference, (left - right) / 2. Full scale is 1."""

WINDOW = 10 * SAMPLE_RATE
"""Samples that levels are measured in."""

PHASE_WINDOW = SAMPLE_RATE
"""Samples in which it is decided what to hear of two channels."""

CANCELLED, RESTORED = 0.2, 0.5
"""The mixture's energy over the difference's: below the one the channels cancel, above the other no longer.

Ordinary stereo is above 1, two unrelated channels are at 1. Below 0.2 both channels hold nearly the same sound, so
nothing goes when one is left out.
"""

NORMAL = 0.5
"""The level that is aimed for, as all levels here the magnitude that one sample in a thousand exceeds."""
LOUDEST, QUIETEST, SILENCE = 1.0, 0.005, 0.00005
"""Levels beyond which sound is out of the ordinary, and below which there is none: int16's last bit."""

STANDS_OUT = 7.0
"""How far speech's level is above its median magnitude, at least; that of noise is 5 times its own."""


class Downmixer:
    """One recording's, fed in windows of `WINDOW` samples, the last one shorter."""

    def __init__(self) -> None:
        self._side = 0.0  # of the difference that is added to the mixture: 0, or ±1 for left or right alone
        self._level = 0.0  # the highest that stood out so far

    def push(self, sound: Sound) -> Pcm:
        mono = sound[:, 0] if sound.shape[1] == 1 else self._mixed(sound)
        gain = self._gain(mono)
        scaled = mono * np.float32(INT16_SCALE * gain)
        rounded = np.rint(scaled)
        rounded += scaled - rounded == 0.5  # halves upwards, as ffmpeg mixes int16
        pcm: Pcm = np.clip(rounded, -INT16_SCALE, INT16_SCALE - 1, out=rounded).astype(np.int16)
        return pcm

    def _mixed(self, sound: Sound) -> NDArray[np.float32]:
        pieces = [self._heard(sound[at : at + PHASE_WINDOW]) for at in range(0, len(sound), PHASE_WINDOW)]
        return np.concatenate([np.empty(0, np.float32), *pieces])

    def _heard(self, sound: Sound) -> NDArray[np.float32]:
        mixture, difference = sound[:, 0], sound[:, 1]
        mixed, apart = float(mixture @ mixture), float(difference @ difference)
        if mixed > RESTORED * apart:
            self._side = 0.0
        elif mixed < CANCELLED * apart and not self._side:
            self._side = 1.0 if float(mixture @ difference) >= 0 else -1.0  # the louder one
        return mixture + np.float32(self._side) * difference if self._side else mixture

    def _gain(self, mono: NDArray[np.float32]) -> float:
        peak = max(float(mono.max(initial=0)), -float(mono.min(initial=0)))
        if peak > LOUDEST or (peak > SILENCE and self._level < QUIETEST):
            median, level = np.quantile(np.abs(mono[::4]), (0.5, 0.999))
            if level > max(STANDS_OUT * median, SILENCE) or level > LOUDEST:
                self._level = max(self._level, float(level))
        if not self._level or QUIETEST <= self._level <= LOUDEST:
            return 1.0
        return NORMAL / self._level
