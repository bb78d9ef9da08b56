"""What waits for a worker, other than the chunks that the scheduler has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from asr_core.engine.compute import Piece
from asr_core.engine.jobs import Job
from asr_core.types import SAMPLE_RATE, Chunk, Hypothesis, Pcm

SHORT = 5 * SAMPLE_RATE
"""Samples of the longest recording that is heard by the spare worker, and of the longest chunk that is waited for."""


class Cutter(Protocol):
    """Cuts a recording's blocks into chunks."""

    def push(self, block: Pcm) -> list[Chunk]: ...

    def flush(self) -> list[Chunk]: ...


@dataclass(frozen=True, slots=True)
class Analysis:
    """Speech detection in a job's next blocks, and the number of chunks that it gave."""

    job: Job
    cutter: Cutter
    blocks: Sequence[Pcm]
    is_last: bool
    n_chunks: asyncio.Future[int]

    @property
    def is_of_short_recording(self) -> bool:
        return self.is_last and self.job.samples <= SHORT

    def run(self) -> list[Chunk]:
        chunks = [chunk for block in self.blocks for chunk in self.cutter.push(block)]
        return chunks + (self.cutter.flush() if self.is_last else [])


@dataclass(frozen=True, slots=True)
class Hearing:
    """Sound of a live session, and what the model makes of it."""

    piece: Piece
    heard: asyncio.Future[Hypothesis]
