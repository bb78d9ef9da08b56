"""Speech to settle quantised layers on: the beginning of the bundled recording, whatever the model."""

from __future__ import annotations

import wave

import torch
from torch import Tensor

from asr_core.model.weights import DEMO
from asr_core.types import INT16_SCALE, SAMPLE_RATE

LENGTH_S = 5


def example_of_speech() -> Tensor:
    """Float32 [S] in [-1, 1]."""
    with wave.open(str(DEMO.with_name("speech.wav"))) as file:
        pcm = bytearray(file.readframes(LENGTH_S * SAMPLE_RATE))
    return torch.frombuffer(pcm, dtype=torch.int16).float() / INT16_SCALE
