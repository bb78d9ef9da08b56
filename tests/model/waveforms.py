"""Waveforms to hear, and how far two tensors are apart."""

from __future__ import annotations

import torch
from torch import Tensor


def noise(*lengths: int, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, generator=generator) * 0.1 for length in lengths]


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())
