"""PURE: what one channel faintly repeats of another is silenced, so that it is not heard twice.

On a line each side faintly hears the other. Where a channel is far quieter than another and holds the same sound, if
perhaps a little later, it says nothing of its own; where it is quiet but different, somebody speaks.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from asr_core.audio.downmix import Sound
from asr_core.types import SAMPLE_RATE

HOP = SAMPLE_RATE // 10
"""Samples that are silenced, or not, together."""

BEFORE, AFTER = 2, 2
"""Hops on either side of one that are looked at with it."""

COARSE = 4
"""Sound is compared at 4 kHz: what is below 2 kHz tells voices apart."""

MAX_LAG = SAMPLE_RATE // COARSE // 10
"""By how much one channel may be late, coarse samples: 0.1 s."""

FAINT_DB = -12.0
"""A channel that is louder than this beside another is more than its echo."""

ALIKE = 0.6
"""The correlation from which on two channels hold the same sound; that of two voices is below 0.5."""

RAMP = SAMPLE_RATE // 200
"""Samples over which silence sets in and ends."""

Compared = NDArray[np.float64]
"""Of each hop, [H]."""


class Crosstalk:
    """One recording's, fed in windows whose lengths, but for the last, are multiples of `HOP`."""

    def __init__(self) -> None:
        self._before: Sound | None = None  # the last hops of the window before
        self._open: NDArray[np.float32] | None = None  # whether each channel was heard in the last hop, [C]

    def push(self, sound: Sound) -> Sound:
        """[S, C] → the same without crosstalk."""
        n_hops, n_channels = -(-len(sound) // HOP), sound.shape[1]
        if not n_hops:
            return sound
        before = np.zeros((BEFORE * HOP, n_channels), np.float32) if self._before is None else self._before
        padding = np.zeros((n_hops * HOP - len(sound), n_channels), np.float32)
        here = np.concatenate((before, sound, padding, np.zeros((AFTER * HOP, n_channels), np.float32)))
        heard = np.ones((n_hops, n_channels), np.float32)
        hops = _coarse_hops(here)
        for faint, loud in permutations(range(n_channels), 2):
            heard[is_echo(hops[faint], hops[loud]), faint] = 0
        self._before = here[n_hops * HOP : (n_hops + BEFORE) * HOP]
        return sound * self._gains(heard)[: len(sound)]

    def _gains(self, heard: NDArray[np.float32]) -> NDArray[np.float32]:
        """[H, C] → [H * HOP, C], with ramps where it changes."""
        last = heard[:1] if self._open is None else self._open[None]
        gains = heard.repeat(HOP, axis=0)
        ramp = np.linspace(0, 1, RAMP, dtype=np.float32)[:, None]
        for hop, (old, new) in enumerate(zip((last[0], *heard), heard, strict=False)):
            if (old != new).any():
                gains[hop * HOP : hop * HOP + RAMP] = old + (new - old) * ramp
        self._open = heard[-1]
        return gains


def is_echo(faint: NDArray[np.float32], loud: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which hops of the one, [H, N], are but a faint copy of the other's."""
    faint_energy, loud_energy = (np.einsum("ij,ij->i", sound, sound, dtype=np.float64) for sound in (faint, loud))
    echo: NDArray[np.bool_] = (faint_energy > 0) & (faint_energy < loud_energy * 10 ** (FAINT_DB / 10))
    echo[echo] = correlation(faint[echo], loud[echo]) >= ALIKE
    return echo


def correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> Compared:
    """How alike each pair of hops, [H, N], is at the lag, up to `MAX_LAG`, where they are most alike: 0 to 1."""
    size = 1 << (one.shape[1] + MAX_LAG).bit_length()
    spectrum = np.fft.rfft(one, size) * np.fft.rfft(other, size).conj()
    lags = np.fft.irfft(spectrum, size)
    highest = np.abs(np.concatenate((lags[:, : MAX_LAG + 1], lags[:, -MAX_LAG:]), axis=1)).max(axis=1, initial=0)
    norms = np.linalg.norm(one, axis=1).astype(np.float64) * np.linalg.norm(other, axis=1)
    compared: Compared = highest / np.maximum(norms, 1e-12)
    return compared


def _coarse_hops(sound: Sound) -> list[NDArray[np.float32]]:
    """Of each channel, each hop together with those around it: [H, N]."""
    coarse = sound.reshape(-1, COARSE, sound.shape[1]).mean(axis=1)
    hop, width = HOP // COARSE, (BEFORE + 1 + AFTER) * HOP // COARSE
    return [np.lib.stride_tricks.sliding_window_view(channel, width)[::hop] for channel in coarse.T]
