"""PURE: which chunks the model hears next, together."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from asr_core.types import SAMPLE_RATE, Chunk

MAX_BATCH = 25 * SAMPLE_RATE
"""Samples that a batch may hold when it has more than one chunk: a newcomer waits for a batch at most."""

ALIKE = 1.5
"""A chunk joins a batch if it is at most this many times as long as the leader, which is kept waiting by it."""

JobT = TypeVar("JobT")


@dataclass(slots=True)
class _Line:
    """One job's chunks, in order, and when it was last served."""

    served: int
    chunks: deque[Chunk] = field(default_factory=deque)


class Scheduler(Generic[JobT]):
    """Least recently served first; a job that has just arrived goes before those that were served while it arrived.

    Two jobs therefore alternate, whatever their lengths, and no stream of short ones can starve a long one.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._lines: dict[JobT, _Line] = {}
        self._turn = 0

    def add(self, job: JobT) -> None:
        """Admit a job, without chunks yet."""
        self._lines[job] = _Line(served=2 * self._turn - 1)  # just before whoever is being served at this moment

    def remove(self, job: JobT) -> None:
        """Forget a job and its chunks; one that is unknown already is none of our business."""
        self._lines.pop(job, None)

    def queue(self, job: JobT, chunk: Chunk) -> None:
        """Queue the next chunk of an admitted job."""
        self._lines[job].chunks.append(chunk)

    def ahead_of(self, job: JobT) -> int:
        """How many other jobs with chunks come before `job`'s next; 0 for one that has none or is unknown."""
        line = self._lines.get(job)
        if line is None or not line.chunks:
            return 0
        return sum(bool(other.chunks) and other.served < line.served for other in self._lines.values())

    def next_of(self, job: JobT) -> list[tuple[JobT, Chunk]]:
        """Take `job`'s next chunk, whoever has the turn; empty when there is none or the job is unknown."""
        line = self._lines.get(job)
        if line is None or not line.chunks:
            return []
        self._turn += 1
        line.served = 2 * self._turn
        return [(job, line.chunks.popleft())]

    def next_batch(self) -> list[tuple[JobT, Chunk]]:
        """Take the chunks to compute next, one a job at most; empty when there are none."""
        waiting = [(line, job) for job, line in self._lines.items() if line.chunks]
        waiting.sort(key=lambda entry: entry[0].served)
        batch: list[tuple[JobT, Chunk]] = []
        self._turn += 1
        for line, job in waiting[: self._batch_size]:
            if _joins(line.chunks[0], [chunk for _, chunk in batch]):
                batch.append((job, line.chunks.popleft()))
                line.served = 2 * self._turn
        return batch


def _joins(chunk: Chunk, batch: Sequence[Chunk]) -> bool:
    """Whether computing `chunk` as well keeps nobody in the batch waiting for long."""
    if not batch:
        return True
    length = len(chunk.span)
    return length <= ALIKE * len(batch[0].span) and length + sum(len(c.span) for c in batch) <= MAX_BATCH
