"""Threads inside torch: how many a computation may use without its result showing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

FRAMES = (13, 51, 97, 167, 251, 401)
"""Lengths that are tried: of half a second to 16 s, and multiples of nothing, so that no cut comes out even by luck."""


@contextmanager
def using_threads(number: int) -> Iterator[None]:
    """Scope in which torch uses `number` threads for what this thread asks of it; OpenMP keeps the number for each."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def agreeing_threads(compute: Callable[[int], Tensor], at_most: int) -> int:
    """The largest power of two up to `at_most` threads with which `compute` gives the same bits as with one.

    compute: frames → what a network makes of so many.

    No library promises that. torch cuts element-wise work into as many runs as there are threads, and computes what is
    left of a vector at the end of a run by another formula; products may add up in another order. So it is tried out.
    """
    with using_threads(1):
        expected = {frames: compute(frames) for frames in FRAMES}

    def agree(number: int) -> bool:
        with using_threads(number):
            return all(torch.equal(compute(frames), result) for frames, result in expected.items())

    counts = [1 << power for power in range(at_most.bit_length() - 1, 0, -1)]
    return next((number for number in counts if agree(number)), 1)
