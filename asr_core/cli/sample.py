"""The bundled recording, and what is said in it."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import torch

import asr_core
from asr_core.types import INT16_SCALE

RECORDING = Path(asr_core.__file__).parent / "demo" / "speech.wav"
"""16 kHz mono."""


def text() -> str:
    return RECORDING.with_suffix(".txt").read_text(encoding="utf-8").strip()


def waveform(n_samples: int) -> torch.Tensor:
    """The recording, float32 [n_samples] in [-1, 1], over and over or cut."""
    with wave.open(str(RECORDING)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return torch.from_numpy(np.resize(pcm, n_samples)).float() / INT16_SCALE
