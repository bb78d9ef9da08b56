"""Waveform → log-mel spectrogram, as torchaudio's MelSpectrogram computes it, one recording at a time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from asr_core.model.parts import FeaturesConfig, Tensors

_POWER_RANGE = (1e-9, 1e9)
"""Mel powers are clamped to this before the logarithm; the models were trained so."""


class LogMel:
    """Short-time power spectrum, mel filterbank, logarithm.

    Window and filterbank come from the checkpoint: v3's were rounded to bfloat16 there, computed ones would differ.
    """

    def __init__(self, config: FeaturesConfig, tensors: Tensors, device: torch.device) -> None:
        bins = config.n_fft // 2 + 1
        self.n_fft, self.hop_length, self.center = config.n_fft, config.hop_length, config.center
        self.window = tensors.take("spectrogram.window", config.win_length).to(device, copy=True)
        self.filterbank = tensors.take("mel_scale.fb", bins, config.features).to(device, copy=True)

    def __call__(self, waveform: Tensor) -> Tensor:
        """[S] in [-1, 1] → [F, M]: F = S // hop + 1 with `center`, else (S - n_fft) // hop + 1.

        A waveform shorter than one window is padded with silence to one frame.
        """
        shortest = self.n_fft // 2 + 1 if self.center else self.n_fft  # reflection needs more than it reflects
        if waveform.shape[0] < shortest:
            waveform = functional.pad(waveform, (0, shortest - waveform.shape[0]))
        if self.center:
            half = self.n_fft // 2
            waveform = functional.pad(waveform[None], (half, half), mode="reflect")[0]
        frames = waveform.unfold(0, self.n_fft, self.hop_length) * self.window  # [F, n_fft]
        spectrum = torch.view_as_real(torch.fft.rfft(frames))  # [F, bins, 2]
        mel = spectrum.square().sum(-1) @ self.filterbank  # [F, M]
        return mel.clamp_(*_POWER_RANGE).log_()
