"""What a voice sounds like: windows of speech → vectors that are near each other where one person speaks.

The network is Resemblyzer's (Apache-2.0, https://github.com/resemble-ai/Resemblyzer): three LSTM layers over mel
powers. Its weights lie beside this file, in half precision; the package itself is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from asr_core.types import INT16_SCALE, SAMPLE_RATE, Pcm

WEIGHTS = Path(__file__).with_name("resemblyzer.npz")

N_FFT = SAMPLE_RATE * 25 // 1000
HOP = SAMPLE_RATE * 10 // 1000
N_MELS = 40
HIDDEN = 256
WINDOW_FRAMES = 160
WINDOW = WINDOW_FRAMES * HOP
"""Samples (1.6 s) of a window."""

BATCH = 16
"""Windows that the network hears at once: it takes a megabyte for each, and half as many cost more time."""

LEVEL_DB = -30.0
"""Root mean square, dB of full scale, that quiet windows are brought to."""

Voiceprints = NDArray[np.float32]
"""[N, D], each of length 1: products of two are their likeness."""


class SpeakerEncoder(Protocol):
    """A network that tells voices apart. It keeps nothing of what it hears: one serves any number of threads."""

    window: int
    """Samples that one voiceprint is made of."""

    def embed(self, sound: Pcm, starts: Sequence[int]) -> Voiceprints:
        """The voiceprints of the windows of `sound`, [S], that begin at `starts`; silence follows its end."""


class Resemblyzer(nn.Module):
    """GE2E's network, as Resemblyzer has it."""

    window = WINDOW

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(N_MELS, HIDDEN, 3, batch_first=True)
        self.linear = nn.Linear(HIDDEN, HIDDEN)
        self.register_buffer("hann", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("mel", torch.from_numpy(mel_filters()), persistent=False)
        self.hann: Tensor
        self.mel: Tensor

    @classmethod
    def load(cls, weights: Path = WEIGHTS) -> Resemblyzer:
        network = cls()
        with np.load(weights, allow_pickle=False) as tensors:
            network.load_state_dict({name: torch.from_numpy(tensors[name]).float() for name in tensors.files})
        return network.eval().requires_grad_(False)

    def forward(self, mels: Tensor) -> Tensor:
        """[N, WINDOW_FRAMES, N_MELS] → [N, HIDDEN]"""
        _, (hidden, _) = self.lstm(mels)
        return F.normalize(F.relu(self.linear(hidden[-1])), dim=1)

    @torch.inference_mode()
    def embed(self, sound: Pcm, starts: Sequence[int]) -> Voiceprints:
        if not starts:
            return np.empty((0, HIDDEN), np.float32)
        wave = torch.from_numpy(sound.astype(np.float32)) / INT16_SCALE
        wave = F.pad(wave, (0, max(0, max(starts) + WINDOW - len(wave))))
        # One by one: the spectra of all windows would take more memory than the network does.
        mels = torch.stack([self._mel_powers(_levelled(wave[start : start + WINDOW])) for start in starts])
        prints: Voiceprints = torch.cat([self(group) for group in torch.split(mels, BATCH)]).numpy()
        return prints

    def _mel_powers(self, window: Tensor) -> Tensor:
        """[WINDOW] → [WINDOW_FRAMES, N_MELS]"""
        padded = F.pad(window, (N_FFT // 2, N_FFT // 2))
        frames = padded.unfold(0, N_FFT, HOP)[:WINDOW_FRAMES] * self.hann
        powers = torch.view_as_real(torch.fft.rfft(frames)).square().sum(-1)
        return powers @ self.mel


def _levelled(wave: Tensor) -> Tensor:
    rms = wave.square().mean().sqrt()
    return wave * max(1.0, 10 ** (LEVEL_DB / 20) / max(float(rms), 1e-6))


def mel_filters() -> NDArray[np.float32]:
    """[N_FFT / 2 + 1, N_MELS]: triangles on Slaney's mel scale, of equal area."""
    edges = _hertz(np.linspace(0, _mel(SAMPLE_RATE / 2), N_MELS + 2))
    bins = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    return filters.astype(np.float32)


_LINEAR_HZ, _HZ_PER_MEL, _STEP = 1000.0, 200 / 3, np.log(6.4) / 27
"""Slaney's scale is linear up to a kilohertz, and logarithmic from there on."""


def _mel(hertz: float) -> float:
    if hertz < _LINEAR_HZ:
        return hertz / _HZ_PER_MEL
    return float(_LINEAR_HZ / _HZ_PER_MEL + np.log(hertz / _LINEAR_HZ) / _STEP)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    knee = _LINEAR_HZ / _HZ_PER_MEL
    hertz: NDArray[np.float64] = np.where(mels < knee, mels * _HZ_PER_MEL, _LINEAR_HZ * np.exp(_STEP * (mels - knee)))
    return hertz


ENCODERS: Mapping[str, Callable[[], SpeakerEncoder]] = {"resemblyzer": Resemblyzer.load}
"""A better network is one line more."""


@cache
def encoder(name: str = "resemblyzer") -> SpeakerEncoder:
    """The one that all recordings share, loaded when the first of them asks who speaks. Called on a worker."""
    return ENCODERS[name]()
