"""One transcription: where its results arrive, and how far it may run ahead of whoever reads them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Protocol

from asr_core.engine.hints import Listening
from asr_core.engine.stages import Stages
from asr_core.types import RUSSIAN, SAMPLE_RATE, Chunk, Hypothesis, Segment, Transcript

BACKLOG = 4
"""Chunks (about 20 s each) of a job whose text has not been read, from which on no more of its sound is looked at where
one worker computes; each further worker may have one in hand."""


class Scribe(Protocol):
    """Makes segments of what is heard, chunk by chunk."""

    def write(self, chunk: Chunk, hypothesis: Hypothesis) -> list[Segment]: ...

    def flush(self) -> list[Segment]:
        """The last segments, after the last chunk; work for a worker."""


class Listener(Protocol):
    """Hears more than words in a job's chunks."""

    def hear(self, chunk: Chunk) -> None:
        """Called on a worker, for each chunk once, in any order."""


class Job:
    """Segments in order, as they are recognised: iterate over it once. Belongs to the engine's event loop."""

    def __init__(
        self,
        stages: Stages,
        scribe: Scribe,
        listener: Listener | None = None,
        *,
        backlog: int = BACKLOG,
        keep_tokens: bool = False,
    ) -> None:
        self.stages = stages
        """Told of what is done for the job, and when."""
        self.samples = 0
        """Decoded so far."""
        self.is_whole = False
        """Whether all of its sound has been cut into chunks."""
        self.scribe = scribe
        self.listener = listener
        self.listening: Listening | None = None
        """By which model, and for what; known before there is a chunk, forgotten with the job's end."""
        self.heard_s = 0.0
        """Where in the recording the last chunk ended that was recognised, seconds."""
        self.warnings: list[str] = []
        """What the client is to be told of the recording; complete once its segments have been read."""
        self.audio_track: int | None = None
        """Which of several sound tracks was heard; known once its segments have been read."""
        self.model = ""
        """The name of the model that hears it."""
        self.known_languages = RUSSIAN
        """Codes of what that model knows."""
        self.queued_at: deque[float] = deque()
        """When each of its chunks that wait for the model began to, on the performance counter."""
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the first of the recording has been decoded, or has turned out not to be decodable."""
        self._early: dict[int, tuple[Chunk, Hypothesis]] = {}  # by the chunk's index: heard before one ahead of it
        self._n_written = 0
        self._results: asyncio.Queue[Sequence[Segment] | Exception | None] = asyncio.Queue()
        self._backlog = backlog
        self._room = asyncio.Semaphore(backlog)
        self._keep_tokens = keep_tokens

    @property
    def duration_s(self) -> float:
        """Of what has been decoded; of the whole recording once its segments have been read."""
        return self.samples / SAMPLE_RATE

    async def __aiter__(self) -> AsyncIterator[Segment]:
        while (result := await self._results.get()) is not None:
            if isinstance(result, Exception):
                raise result
            self._room.release()
            for segment in result:
                yield segment

    async def transcript(self) -> Transcript:
        """Everything that has not been read yet, as one. Raises what went wrong with the recording or the model."""
        segments = tuple([segment async for segment in self])
        return Transcript(segments, self.duration_s, tuple(self.warnings), self.audio_track, self.known_languages)

    async def make_room(self, n_chunks: int) -> None:
        """Wait until `n_chunks` more may be under way."""
        for _ in range(n_chunks):
            await self._room.acquire()

    def heard(self, chunk: Chunk, hypothesis: Hypothesis) -> None:
        """Take what was heard in one of its chunks; segments come out in the chunks' order, whichever is done first."""
        self._early[chunk.index] = chunk, hypothesis
        while self._n_written in self._early:
            self.deliver(self.scribe.write(*self._early.pop(self._n_written)))
            self._n_written += 1

    def deliver(self, segments: Sequence[Segment]) -> None:
        """Hand over one chunk's segments."""
        if not self._keep_tokens:
            segments = [replace(segment, tokens=()) for segment in segments]
        self._results.put_nowait(segments)

    async def all_read(self) -> None:
        """Wait until all chunks' results have been read."""
        await self.make_room(self._backlog)

    def finish(self, last: Sequence[Segment]) -> None:
        """End the iteration after the `last` segments."""
        self.deliver(last)
        self._results.put_nowait(None)

    def start(self) -> None:
        if not self.started.done():
            self.started.set_result(None)

    def fail(self, error: Exception) -> None:
        """End the iteration with `error`, after the results that have come; `started` raises it if none has."""
        if not self.started.done():
            self.started.set_exception(error)
        self._results.put_nowait(error)
