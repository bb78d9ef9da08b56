"""Threads inside torch: how many a computation may use without its result showing it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor

FRAMES = (3, 51, 167, 257, 401, 625)
"""Lengths that are tried: from a tenth of a second to 25 s, odd ones, so that no cut comes out even by luck."""

_SOFT = 1
"""OpenMP 5's `omp_pause_soft`: they may come back."""


@contextmanager
def using_threads(number: int) -> Iterator[None]:
    """Scope in which torch uses `number` threads for what this thread asks of it; OpenMP keeps the number for each."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def dismiss_helpers() -> None:
    """Let go of the threads that OpenMP keeps for this one, which is to compute no more."""
    with suppress(AttributeError, TypeError):  # an older OpenMP, or none; another system
        ctypes.CDLL(None).omp_pause_resource_all(_SOFT)


def two_are_exact(compute: Callable[[int], Tensor]) -> bool:
    """Whether two threads give the same bits as one; `compute` takes a number of frames.

    No library promises it, so it is tried out. Of more than two it is not true: torch cuts element-wise work into as
    many runs as there are threads, and computes by another formula what is left at the end of a run that is no multiple
    of a vector. Halves leave nothing: frames have a multiple of 32 channels.
    """
    results = []
    for number in (1, 2):
        with using_threads(number):
            results.append([compute(frames) for frames in FRAMES])
    return all(map(torch.equal, *results))
