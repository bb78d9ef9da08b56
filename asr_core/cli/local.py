"""Transcribing in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from asr_core.cli.batch import Heard
from asr_core.engine.engine import Engine
from asr_core.settings import Settings
from asr_core.types import JobOptions, Transcript


class LocalTranscriber:
    """An engine of our own, kept busy."""

    def __init__(self, engine: Engine, settings: Settings, options: JobOptions) -> None:
        self.parallel = settings.max_queue
        self._engine = engine
        self._options = options

    async def transcribe(self, path: Path, heard: Heard) -> Transcript:
        segments = []
        async with self._engine.open(path, self._options) as job:
            async for segment in job:
                segments.append(segment)
                heard(segment.end_s)
        return Transcript(tuple(segments), job.duration_s, tuple(job.warnings), job.audio_track, job.known_languages)


@asynccontextmanager
async def local_transcriber(
    settings: Settings, options: JobOptions, say: Callable[[str], None]
) -> AsyncIterator[LocalTranscriber]:
    """An engine, once its model is loaded; `say` is told which that is. Raises ModelError if it cannot be.

    `options` are those of every recording.

    When the task is cancelled, the engine is left as it is: it may be minutes before the workers listen, and
    whoever interrupts a program does not want to wait for that.
    """
    engine = Engine(settings.alone)
    await engine.start()
    try:
        await engine.ready()
        status = engine.status
        say(f"{status.model} on {status.device} in {status.precision}")
        yield LocalTranscriber(engine, settings, options)
    finally:
        task = asyncio.current_task()
        if not (task and task.cancelling()):
            await engine.stop()
