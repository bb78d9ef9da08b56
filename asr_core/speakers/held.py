"""PURE: segments that wait for the recording's end, in little memory."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from asr_core.types import Segment

Times = NDArray[np.float64]
"""Where words begin and end, seconds: [W, 2]."""


class HeldSegments:
    """What was put in comes out in the same order; as objects it would take ten times as much memory."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []
        self._times: list[Times] = [np.empty((0, 2))]

    def add(self, segments: Sequence[Segment]) -> None:
        if segments:
            times = [(word.start_s, word.end_s) for segment in segments for word in segment.words]
            self._times.append(np.array(times, np.float64).reshape(-1, 2))
            self._packed.append(zlib.compress(pickle.dumps(list(segments)), 1))

    @property
    def times(self) -> Times:
        """Of all words."""
        return np.concatenate(self._times)

    def __iter__(self) -> Iterator[Segment]:
        for packed in self._packed:
            yield from pickle.loads(zlib.decompress(packed))  # noqa: S301 - packed above
