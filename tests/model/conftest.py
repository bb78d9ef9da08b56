from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from asr_core.model.linear import Target
from asr_core.model.recognizer import NativeRecognizer
from asr_core.model.weights import DEMO
from asr_core.types import INT16_SCALE, Precision
from reference.checkpoints import configuration, random_weights, save

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Path of a small random checkpoint of an official model, made once."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def path_of(name: str) -> Path:
        path = folder / f"{name}.ckpt"
        if not path.exists():
            cfg = configuration(name)
            save(folder, name, cfg, random_weights(cfg))
        return path

    return path_of


@pytest.fixture(scope="session")
def load(checkpoint: Callable[[str], Path]) -> Callable[..., NativeRecognizer]:
    """Our recogniser over such a checkpoint."""

    def recognizer(name: str, precision: Precision = "fp32") -> NativeRecognizer:
        path = checkpoint(name)
        return NativeRecognizer(path, path.parent, Target(CPU, precision))

    return recognizer


@pytest.fixture(scope="session")
def sample() -> torch.Tensor:
    """The demo's recording, float32 [S]."""
    with wave.open(str(DEMO.with_name("speech.wav"))) as recording:
        pcm = np.frombuffer(recording.readframes(recording.getnframes()), np.int16)
    return torch.from_numpy(pcm.astype(np.float32)) / INT16_SCALE


@pytest.fixture(scope="session")
def sample_text() -> str:
    """What is said in it."""
    return DEMO.with_name("speech.txt").read_text(encoding="utf-8").strip()
