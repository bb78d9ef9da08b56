"""How fast this machine is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import get_args

import torch

from asr_core.cli import sample
from asr_core.errors import PrecisionUnsupported
from asr_core.model.cpu import available_cores, choose_precision, seconds_per_layer
from asr_core.model.linear import Target
from asr_core.model.recognizer import Recognizer
from asr_core.model.threads import using_threads
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


def threads_alone(recognizer: Recognizer) -> int:
    """Threads that the engine gives a piece that nothing is computed beside. It takes a second to find out."""
    return 2 if available_cores() > 1 and recognizer.two_threads_are_exact() else 1


def alone(recognizer: Recognizer, waveform: torch.Tensor, n_threads: int) -> None:
    """Recognise a piece that nothing is computed beside."""
    with using_threads(n_threads):
        recognizer.recognize([waveform])


def at_once(recognizer: Recognizer, waveforms: Sequence[torch.Tensor], n_workers: int) -> None:
    """Recognise pieces as the engine does: each on one of its workers, with one thread inside torch."""

    def recognize(waveform: torch.Tensor) -> None:
        with using_threads(1):
            recognizer.recognize([waveform])

    with ThreadPoolExecutor(n_workers) as workers:
        list(workers.map(recognize, waveforms))


def real_time_factor(recognizer: Recognizer, seconds: int, n_pieces: int = 1, repeats: int = 3) -> float:
    """Seconds of computing per second of sound, for so many pieces at once; the median of `repeats`."""
    waveform = sample.waveform(seconds * SAMPLE_RATE)
    work = partial(alone, recognizer, waveform, threads_alone(recognizer))
    if n_pieces > 1:
        work = partial(at_once, recognizer, [waveform] * n_pieces, available_cores())
    work()  # the first run sets buffers up
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return median(times) / (n_pieces * seconds)


_BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): sum(range(100_000))"


@contextmanager
def neighbours(number: int) -> Iterator[None]:
    """Programs that compute without end while the block lasts. They end with it, or with this process."""
    with ExitStack() as scope:
        for _ in range(number):
            process = subprocess.Popen([sys.executable, "-c", _BUSY, str(os.getpid())])
            scope.callback(process.wait)
            scope.callback(process.kill)
        yield
