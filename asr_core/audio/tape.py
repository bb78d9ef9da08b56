"""PURE: the recent part of a recording, addressed by positions in the whole."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class Tape(Generic[Scalar]):
    """The recent part of an array that grows at its end, [start, end), addressed by position in the whole."""

    def __init__(self, dtype: type[Scalar]) -> None:
        self._empty: NDArray[Scalar] = np.empty(0, dtype)
        self._blocks: deque[NDArray[Scalar]] = deque()
        self.start = 0
        self.end = 0

    def append(self, block: NDArray[Scalar]) -> None:
        self._blocks.append(block)
        self.end += len(block)

    def read(self, start: int, end: int) -> NDArray[Scalar]:
        """Copy [start, end), none of which may have been forgotten."""
        pieces, position = [self._empty], self.start
        for block in self._blocks:
            pieces.append(block[max(start - position, 0) : max(end - position, 0)])
            position += len(block)
        return np.concatenate(pieces)

    def forget(self, position: int) -> None:
        """Drop the blocks that end at or before `position`."""
        while self._blocks and self.start + len(self._blocks[0]) <= position:
            self.start += len(self._blocks.popleft())
