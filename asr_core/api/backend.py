"""What the routes need of the rest of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from asr_core.api.auth import KeyRing
from asr_core.api.metrics import Metrics
from asr_core.api.spool import Spool
from asr_core.errors import ModelNotReady
from asr_core.logs import remark
from asr_core.settings import Settings
from asr_core.types import JobOptions

if TYPE_CHECKING:
    from asr_core.engine.engine import Engine
    from asr_core.engine.jobs import Job

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backend:
    """The engine and what belongs to it; a running server has one."""

    settings: Settings
    engine: Engine
    metrics: Metrics
    keys: KeyRing
    spool: Spool
    started_at: int
    """Unix time, s."""

    def check_ready(self) -> None:
        """Raise ModelNotReady, StorageGone or StorageFull, before a client uploads a recording for nothing."""
        status = self.engine.status
        if not status.ready:
            raise ModelNotReady(f"The model is not ready: {status.detail}.")
        self.spool.check()

    @staticmethod
    async def render(job: Job, function: Callable[[], T]) -> T:
        """What `function` makes of the job's transcript, in a thread: of ten hours it takes a while."""
        with job.stages.running("render"):
            return await asyncio.to_thread(function)

    @asynccontextmanager
    async def job(self, path: Path, options: JobOptions) -> AsyncIterator[Job]:
        """A job of the engine, counted, and remarked in the log; what the engine raises passes through."""
        started = perf_counter()
        with self.metrics.job():
            async with self.engine.open(path, options) as job:
                yield job
            self.metrics.audio_seconds.inc(job.duration_s)
        remark(f"{job.duration_s:.1f} s of sound, {perf_counter() - started:.2f} s of work")
