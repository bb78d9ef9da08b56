"""Memory that is free and still ours: recordings of many lengths leave holes that nothing fits."""

from __future__ import annotations

import ctypes
import sys
import threading

FRAMES_BETWEEN = 240 * 25
"""Of the network, four minutes. Giving memory back takes tens of milliseconds: half a hundredth of what these take."""


class Heap:
    """Counts frames, and gives free memory back to the system after so many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_frames = 0

    def heard(self, n_frames: int) -> None:
        with self._lock:
            self._n_frames += n_frames
            is_due = self._n_frames >= FRAMES_BETWEEN
            if is_due:
                self._n_frames = 0
        if is_due:
            give_back()


def give_back() -> None:
    """What the allocator holds and nobody uses; only glibc has to be asked."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
