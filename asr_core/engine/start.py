"""An engine's start: tried again until it succeeds, and how far it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, wait_exponential
from tenacity.wait import wait_base

from asr_core.errors import AsrError

log = logging.getLogger(__name__)

RETRY_LOADING = wait_exponential(min=5, max=300)
"""Seconds between attempts to load the model: somebody may put the missing file there, or the network may come back."""


class Start:
    """Has what the engine needs loaded, for as long as it takes. Belongs to the event loop."""

    def __init__(self, retry: wait_base = RETRY_LOADING) -> None:
        self._retry = retry
        self.detail = "not started"
        """How far loading the models is, or why it failed."""
        self.attempted: asyncio.Future[None]
        """Done when everything is there, or what ended the first attempt."""

    def begin(self) -> None:
        self.attempted = asyncio.get_running_loop().create_future()

    async def attempt(self, load: Callable[[], Awaitable[None]]) -> None:
        """Returns once `load` has succeeded."""
        self.detail = "loading the model"
        async for attempt in AsyncRetrying(wait=self._retry, before_sleep=self._explain):
            with attempt:
                await load()
        if not self.attempted.done():
            self.attempted.set_result(None)

    def downloading(self, file: str, done: int, total: int | None) -> None:
        """Take note of how far a download is; from any thread."""
        of_all = f" of {total >> 20}" if total else ""
        self.detail = f"downloading {file}: {done >> 20}{of_all} MiB"

    def end(self, error: BaseException) -> None:
        """Tell whoever waits for the first attempt that it will come to nothing more than `error`."""
        if not self.attempted.done():
            self.attempted.set_exception(error)
            self.attempted.exception()  # whether or not anybody waits for it

    def _explain(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error:
            self.end(error)
        log.error("The model cannot be loaded: %s", error, exc_info=None if isinstance(error, AsrError) else error)
        reason = str(error) if isinstance(error, AsrError) else "loading the model failed, see the log."
        self.detail = f"{reason} Trying again in {state.upcoming_sleep:.0f} s"
