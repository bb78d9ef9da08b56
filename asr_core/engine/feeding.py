"""A job's way to the model: its recording decoded, block by block, and cut into chunks."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from asr_core.audio.decode import Recording
from asr_core.engine.jobs import Job
from asr_core.errors import AsrError
from asr_core.types import Pcm, Segment

log = logging.getLogger(__name__)

Analyse = Callable[[Pcm, bool], Awaitable[int]]
"""Has speech detected in the next block, which may be the last, and the chunks queued that are certain then; tells how
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
                blocks = await scope.enter_async_context(decoding)
            async for block, is_last in _marking_last(_each_a_stage(blocks, job)):
                job.start()
                if job.listening is None:
                    await attend()
                job.samples += block.shape[-1]
                with job.stages.running("vad"):
                    n_chunks = await analyse(block, is_last)
                await job.make_room(n_chunks)
            job.warnings.extend(blocks.warnings)
            job.audio_track = blocks.audio_track
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
