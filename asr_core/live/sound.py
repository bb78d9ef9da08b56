"""PURE: sound as clients send it, piece by piece → 16 kHz samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asr_core.types import INT16_SCALE, SAMPLE_RATE, Pcm

Encoding = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
Rate = Literal[8_000, 16_000, 24_000, 48_000]

LOBES = 16
"""Zero crossings of the low-pass filter on either side of its middle."""

KAISER_BETA = 8.0
"""Of the filter's window: about 80 dB down beside the band."""


class Intake:
    """One stream's way in: bytes of any number → int16 samples at 16 kHz, the same however the bytes are cut."""

    def __init__(self, encoding: Encoding, rate: Rate) -> None:
        self._decode = _DECODERS[encoding]
        self._width = 2 if encoding == "audio/pcm" else 1
        self._odd = b""
        self._resample = Resampler(rate)

    def push(self, data: bytes) -> Pcm:
        data = self._odd + data
        whole = len(data) // self._width * self._width
        self._odd = data[whole:]
        return self._resample.push(self._decode(np.frombuffer(data[:whole], np.uint8)))


class Resampler:
    """int16 samples at `rate` → at 16 kHz, by a windowed sinc; sample n is the sound at n / 16000 s."""

    def __init__(self, rate: int) -> None:
        ratio = Fraction(SAMPLE_RATE, rate)
        self._up, self._down = ratio.numerator, ratio.denominator
        self._half = LOBES * max(self._up, self._down) // self._up  # input samples on either side
        self._taps = _taps(self._up, self._down, self._half)
        self._history: Pcm = np.zeros(self._half, np.int16)
        self._n_out = 0
        self._n_forgotten = -self._half  # position of the history's first sample in the stream

    def push(self, samples: Pcm) -> Pcm:
        if self._up == self._down:
            return samples
        self._history = np.concatenate((self._history, samples))
        end = self._n_forgotten + len(self._history)  # of what is known of the stream
        ready = max((end - self._half) * self._up - 1, -1) // self._down + 1
        if ready <= self._n_out:
            return np.empty(0, np.int16)
        positions = np.arange(self._n_out, ready) * self._down
        first = positions // self._up - self._half - self._n_forgotten + 1
        windows = np.lib.stride_tricks.sliding_window_view(self._history, 2 * self._half)[first]
        sound = (windows * self._taps[positions % self._up]).sum(axis=1)
        self._n_out = ready
        keep = ready * self._down // self._up - self._half - self._n_forgotten + 1
        self._history = self._history[max(keep, 0) :]
        self._n_forgotten += max(keep, 0)
        return np.asarray(np.clip(np.rint(sound), -INT16_SCALE, INT16_SCALE - 1), np.int16)


def _taps(up: int, down: int, half: int) -> NDArray[np.float64]:
    """[up, 2 * half]: for each phase, the weights of the input samples from `half - 1` before it to `half` after."""
    offsets = np.arange(1 - half, half + 1)[None, :] - np.arange(up)[:, None] / up  # in input samples
    cutoff = min(1.0, up / down) * (1 - 0.5 / LOBES)
    window = np.i0(KAISER_BETA * np.sqrt(np.maximum(0.0, 1 - (offsets / half) ** 2))) / np.i0(KAISER_BETA)
    taps = cutoff * np.sinc(cutoff * offsets) * window
    return np.asarray(taps / taps.sum(axis=1, keepdims=True))


def _pcm16(data: NDArray[np.uint8]) -> Pcm:
    return np.asarray(data.view("<i2"), np.int16)


def _mu_law() -> Pcm:
    """G.711's table: what each of the 256 codes stands for."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    level = ((2 * mantissa + 33) << exponent) - 33
    return np.where(code & 0x80, -level * 4, level * 4).astype(np.int16)


def _a_law() -> Pcm:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    level = np.where(exponent == 0, 2 * mantissa + 1, (2 * mantissa + 33) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, level * 8, -level * 8).astype(np.int16)


_MU_LAW, _A_LAW = _mu_law(), _a_law()

_DECODERS: Mapping[Encoding, Callable[[NDArray[np.uint8]], Pcm]] = {
    "audio/pcm": _pcm16,
    "audio/pcmu": lambda data: _MU_LAW[data],
    "audio/pcma": lambda data: _A_LAW[data],
}
