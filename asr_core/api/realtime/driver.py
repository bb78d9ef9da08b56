"""A live session at work: sound in, hearings one at a time, events out. Whatever protocol it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from asr_core.errors import AsrError
from asr_core.live.events import Event
from asr_core.live.session import LiveSession
from asr_core.live.turns import TurnOptions
from asr_core.types import Pcm

if TYPE_CHECKING:
    from asr_core.engine.ear import Ear

PAUSE_S = 0.3
"""Between two hearings of an utterance, at least."""

MAX_PAUSE_S = 2.0
"""The longest pause that a busy machine makes of it."""

REST = 2.0
"""Pauses are so many times as long as the last hearing took, waiting included: a busy machine is asked less often."""

Tell = Callable[[Sequence[Event]], Awaitable[None]]
"""Tells the client; returns once the client has room for more."""


class Driver:
    """Runs `session` with an ear of the engine's, for as long as `serve` lasts."""

    def __init__(self, ear: Ear, options: TurnOptions | None, tell: Tell) -> None:
        self.session = LiveSession(options)
        self._ear = ear
        self._tell = tell
        self._telling = asyncio.Lock()
        self._news = asyncio.Event()
        """There may be something to hear."""
        self._heard = asyncio.Event()
        """The last hearing is over."""

    async def serve(self, client: Coroutine[None, None, None]) -> None:
        """Have sound heard beside `client`, which brings it, until that ends. Raises what either of them raises."""
        try:
            async with asyncio.TaskGroup() as tasks:
                hearing = tasks.create_task(self._hear())
                await client
                hearing.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def listen(self, sound: Pcm) -> None:
        """Take the next of the sound, once the session is not too far behind."""
        while self.session.is_behind:
            self._heard.clear()
            await self._heard.wait()
        self.session.listen(sound, await self._ear.probabilities(sound))
        await self.report()

    async def report(self) -> None:
        """Tell what is new, and have it heard."""
        self._news.set()
        async with self._telling:  # events reach the client in order, whoever brings them
            told, self.session.events = self.session.events, []
            if told:
                await self._tell(told)

    async def finish(self) -> None:
        """Wait until all that was committed has been heard."""
        while not self.session.is_done:
            self._heard.clear()
            await self._heard.wait()

    async def _hear(self) -> None:
        """Have heard what there is to hear, for as long as the session lasts."""
        next_at = 0.0
        while True:
            self._news.clear()
            hearing = self.session.next_hearing(also_open=monotonic() >= next_at)
            if hearing is None:
                await self._wait(next_at - monotonic())
                continue
            begin = monotonic()
            try:
                self.session.heard(hearing, await self._ear.hear(hearing.pcm))
            except AsrError as error:
                self.session.failed(hearing, error)
            took = monotonic() - begin
            next_at = begin + took + min(max(PAUSE_S - took, REST * took), MAX_PAUSE_S)
            self._heard.set()
            await self.report()

    async def _wait(self, seconds: float) -> None:
        """Until there is news, where the open item may be heard already, or for so long; what is committed is heard at
        once."""
        try:
            async with asyncio.timeout(seconds if seconds > 0 else None):
                await self._news.wait()
        except TimeoutError:
            pass
