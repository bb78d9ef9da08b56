"""The one thread that owns torch, and the models that live on it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import torch
from tenacity import AsyncRetrying, RetryCallState, wait_exponential

from asr_core.audio.vad import SileroNetwork
from asr_core.errors import AsrError, ServerStopping
from asr_core.model.download import Progress
from asr_core.model.recognizer import Recognizer
from asr_core.types import INT16_SCALE, Chunk, Hypothesis

log = logging.getLogger(__name__)

Result = TypeVar("Result")

RETRY_LOADING = wait_exponential(min=5, max=300)
"""Seconds between attempts to load the model: somebody may put the missing file there, or the network may come back."""


class Load(Protocol):
    """Loads the model; while it downloads, it calls `progress`, which may raise to stop it."""

    def __call__(self, progress: Progress) -> Recognizer: ...


class ComputeThread:
    """Runs one thing at a time. Everything but `recognize` is called on the event loop."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._stopping = threading.Event()
        self.detail = "not started"
        """How far loading the model is, or why it failed."""
        self.recognizer: Recognizer
        self.vad: SileroNetwork

    async def load(self) -> None:
        """Load the models, for as long as it takes; returns when they are there."""
        self.detail = "loading the model"
        async for attempt in AsyncRetrying(wait=RETRY_LOADING, before_sleep=self._explain):
            with attempt:
                self.recognizer, self.vad = await self.run(self._load_models)

    async def run(self, work: Callable[[], Result]) -> Result:
        """`work` on the thread. What it raises is raised here."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def recognize(self, chunks: Sequence[Chunk]) -> list[Hypothesis]:
        """Called on the thread."""
        return self.recognizer.recognize([torch.from_numpy(chunk.pcm) / INT16_SCALE for chunk in chunks])

    async def stop(self) -> None:
        """Wait for what is running, drop what is not; a download ends at its next piece."""
        self._stopping.set()
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    def _load_models(self) -> tuple[Recognizer, SileroNetwork]:
        return self._load(self._report), SileroNetwork.load()

    def _report(self, file: str, done: int, total: int | None) -> None:
        if self._stopping.is_set():
            raise ServerStopping()
        of_all = f" of {total >> 20}" if total else ""
        self.detail = f"downloading {file}: {done >> 20}{of_all} MiB"

    def _explain(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.error("The model cannot be loaded: %s", error, exc_info=None if isinstance(error, AsrError) else error)
        reason = str(error) if isinstance(error, AsrError) else "loading the model failed, see the log."
        self.detail = f"{reason} Trying again in {state.upcoming_sleep:.0f} s"
