"""How fast this machine is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import get_args

import torch

from asr_core.errors import PrecisionUnsupported
from asr_core.model.cpu import choose_precision, seconds_per_layer
from asr_core.model.linear import Target
from asr_core.model.recognizer import Recognizer
from asr_core.types import SAMPLE_RATE, Precision

PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True, slots=True)
class LayerSpeed:
    """Time of one of v3's largest layers in a precision, s; None, and why, where the CPU has no such thing."""

    precision: Precision
    seconds: float | None
    reason: str = ""


def layer_speeds() -> Iterator[LayerSpeed]:
    """Measure each precision on the CPU: half a second apiece."""
    cpu = torch.device("cpu")
    for precision in PRECISIONS:
        try:
            choose_precision(precision, cpu)
        except PrecisionUnsupported as error:
            yield LayerSpeed(precision, None, str(error))
        else:
            yield LayerSpeed(precision, seconds_per_layer(Target(cpu, precision)))


def real_time_factor(recognizer: Recognizer, waveform: torch.Tensor, repeats: int = 5) -> float:
    """Seconds of computing per second of sound, for a float32 waveform [S] alone; the median of `repeats`."""
    recognizer.recognize([waveform])  # the first run sets buffers up
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        recognizer.recognize([waveform])
        times.append(time.perf_counter() - begin)
    return median(times) / (len(waveform) / SAMPLE_RATE)
