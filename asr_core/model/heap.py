"""Memory that is free and still ours: recordings of many lengths leave holes that nothing fits."""

from __future__ import annotations

import ctypes
import itertools
import sys

RECORDINGS_BETWEEN = 32
"""Giving memory back takes milliseconds, and so does getting it again: a few thousandths of what so many take."""


class Heap:
    """Counts recordings, and gives free memory back to the system after so many."""

    def __init__(self) -> None:
        self._count = itertools.count(1)  # whose next() is safe from any thread

    def heard(self, n_recordings: int) -> None:
        counts = [next(self._count) for _ in range(n_recordings)]
        if any(count % RECORDINGS_BETWEEN == 0 for count in counts):
            give_back()


def give_back() -> None:
    """What the allocator holds and nobody uses; only glibc has to be asked."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
