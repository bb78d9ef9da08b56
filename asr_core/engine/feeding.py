"""A job's way to the model: its recording decoded, block by block and a little ahead, and cut into chunks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from asr_core.audio.decode import Recording
from asr_core.engine.jobs import Job
from asr_core.errors import AsrError
from asr_core.types import Pcm, Segment

log = logging.getLogger(__name__)

AHEAD = 4
"""Blocks that wait to be looked at: workers that all compute one job's chunks must not wait for its decoder."""

Analyse = Callable[[Sequence[Pcm], bool], Awaitable[int]]
"""Has speech detected in the next blocks, which may be the last, and the chunks queued that are certain then; tells how
many there are."""


Settle = Callable[[], Awaitable[Sequence[Segment]]]
"""Gives the last segments, once all that the model heard has been written."""


Attend = Callable[[], Awaitable[None]]
"""Has the model ready to hear the job."""


async def feed(
    job: Job, decoding: AbstractAsyncContextManager[Recording], attend: Attend, analyse: Analyse, settle: Settle
) -> None:
    """Decode the recording and have it cut into chunks, no further ahead than the job may be; what fails, fails it.

    The model is had once there is sound: what is none needs no model, and whoever sent it knows at once.
    """
    try:
        async with AsyncExitStack() as scope:
            with job.stages.running("decode"):
                recording = await scope.enter_async_context(decoding)
            decoded = await scope.enter_async_context(_ahead(_marking_last(_each_a_stage(recording, job))))
            async for blocks, is_last in decoded:
                job.start()
                if job.listening is None:
                    await attend()
                job.samples += sum(block.shape[-1] for block in blocks)
                with job.stages.running("vad"):
                    n_chunks = await analyse(blocks, is_last)
                await job.make_room(n_chunks)
            job.warnings.extend(recording.warnings)
            job.audio_track = recording.audio_track
        await job.all_read()
        job.finish(await settle())
    except Exception as error:
        if not isinstance(error, AsrError):
            log.exception("A recording could not be fed to the model")
        job.fail(error)


async def _each_a_stage(blocks: AsyncIterator[Pcm], job: Job) -> AsyncIterator[Pcm]:
    """The blocks; waiting for one is decoding it, as far as the job can tell."""
    while True:
        with job.stages.running("decode"):
            block = await anext(blocks, None)
        if block is None:
            return
        yield block


async def _marking_last(blocks: AsyncIterator[Pcm]) -> AsyncIterator[tuple[Pcm, bool]]:
    """Each block, and whether it is the last: that one's chunks are then had in one go."""
    held: Pcm | None = None
    async for block in blocks:
        if held is not None:
            yield held, False
        held = block
    if held is not None:
        yield held, True


@asynccontextmanager
async def _ahead(marked: AsyncIterator[tuple[Pcm, bool]]) -> AsyncIterator[AsyncIterator[tuple[list[Pcm], bool]]]:
    """Scope in which blocks are decoded ahead: as many at a time as there are by then, and whether they are the last.

    What decoding raises comes after these.
    """
    waiting: asyncio.Queue[tuple[Pcm, bool] | Exception | None] = asyncio.Queue(AHEAD)

    async def decode() -> None:
        end = None
        try:
            async for block in marked:
                await waiting.put(block)
        except Exception as error:
            end = error
        await waiting.put(end)

    async def taken() -> AsyncIterator[tuple[list[Pcm], bool]]:
        while True:
            items = [await waiting.get()]
            while not waiting.empty():
                items.append(waiting.get_nowait())
            if blocks := [item for item in items if isinstance(item, tuple)]:
                yield [block for block, _ in blocks], blocks[-1][1]
            if isinstance(end := items[-1], Exception):
                raise end
            if end is None:
                return

    decoder = asyncio.create_task(decode())
    try:
        yield taken()
    finally:
        decoder.cancel()
        await asyncio.wait([decoder])
