"""The workers that compute, and the models that they share."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from tenacity import AsyncRetrying, RetryCallState, wait_exponential
from tenacity.wait import wait_base

from asr_core.audio.vad import SileroNetwork
from asr_core.errors import AsrError, ServerStopping
from asr_core.model.download import Progress
from asr_core.model.glossary import Glossary
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.model.threads import using_threads
from asr_core.settings import Settings
from asr_core.types import INT16_SCALE, Chunk, Hypothesis

log = logging.getLogger(__name__)

Result = TypeVar("Result")

RETRY_LOADING = wait_exponential(min=5, max=300)
"""Seconds between attempts to load the model: somebody may put the missing file there, or the network may come back."""


class Load(Protocol):
    """Loads the model; while it downloads, it calls `progress`, which may raise to stop it."""

    def __call__(self, progress: Progress) -> Recognizer: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """What a worker takes in hand: a chunk, the model that is to hear it, and what to listen for."""

    model: str
    chunk: Chunk
    glossary: Glossary | None = None


class Workers:
    """`n` threads that compute a piece each. All but `recognize` is called on the event loop.

    Threads inside torch meet at thousands of barriers a second, and one that waits for a core holds all of them up,
    while pieces beside each other never wait for one another. Only a piece that is alone gets two.
    """

    def __init__(self, loads: Mapping[str, Load], n: int, n_threads: int, retry: wait_base = RETRY_LOADING) -> None:
        """`loads` has a model's name and what loads it; `n_threads` are what all workers may use inside torch."""
        self._loads = loads
        self._retry = retry
        self._n_threads = n_threads
        self.n = n
        self._executor = ThreadPoolExecutor(n, thread_name_prefix="compute")
        self._stopping = threading.Event()
        self.detail = "not started"
        """How far loading the model is, or why it failed."""
        self.attempted: asyncio.Future[None]
        """Done when jobs are admitted, or what ended the first attempt to load the models."""
        self.recognizers: dict[str, Recognizer]
        """The models, by their names."""
        self.vad: SileroNetwork
        self.threads_alone: int
        """Threads inside torch for a piece that no other worker computes beside."""

    async def load(self) -> None:
        """Load the models, for as long as it takes; returns when they are there."""
        self.detail = "loading the model"
        async for attempt in AsyncRetrying(wait=self._retry, before_sleep=self._explain):
            with attempt:
                self.recognizers, self.vad, self.threads_alone = await self.run(self._load_models)

    async def run(self, work: Callable[[], Result], n_threads: int = 1) -> Result:
        """`work` on a worker, with so many threads inside torch. What it raises is raised here."""

        def on_worker() -> Result:
            with using_threads(n_threads):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._executor, on_worker)

    def recognize(self, pieces: Sequence[Piece]) -> list[Hypothesis]:
        """What each piece's model hears in it; called on a worker."""
        heard: dict[int, Hypothesis] = {}
        for name in {piece.model for piece in pieces}:
            mine = [index for index, piece in enumerate(pieces) if piece.model == name]
            waveforms = [torch.from_numpy(pieces[index].chunk.pcm) / INT16_SCALE for index in mine]
            glossaries = [pieces[index].glossary for index in mine]
            heard |= zip(mine, self.recognizers[name].recognize(waveforms, glossaries), strict=True)
        return [heard[index] for index in range(len(pieces))]

    async def stop(self) -> None:
        """Wait for what is running, drop what is not; a download ends at its next piece."""
        self._stopping.set()
        self._end_attempt(ServerStopping())
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    def _load_models(self) -> tuple[dict[str, Recognizer], SileroNetwork, int]:
        recognizers = {name: load(self._report) for name, load in self._loads.items()}
        vad = SileroNetwork.load()
        if self.n == 1:
            return recognizers, vad, self._n_threads
        # Where there are several workers, a result must not show that its piece was alone.
        exact = all(recognizer.two_threads_are_exact() for recognizer in recognizers.values())
        return recognizers, vad, 2 if exact else 1

    def _report(self, file: str, done: int, total: int | None) -> None:
        if self._stopping.is_set():
            raise ServerStopping()
        of_all = f" of {total >> 20}" if total else ""
        self.detail = f"downloading {file}: {done >> 20}{of_all} MiB"

    def _explain(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error:
            self._end_attempt(error)
        log.error("The model cannot be loaded: %s", error, exc_info=None if isinstance(error, AsrError) else error)
        reason = str(error) if isinstance(error, AsrError) else "loading the model failed, see the log."
        self.detail = f"{reason} Trying again in {state.upcoming_sleep:.0f} s"

    def _end_attempt(self, error: BaseException) -> None:
        if not self.attempted.done():
            self.attempted.set_exception(error)
            self.attempted.exception()  # whether or not anybody waits for it


def loader(settings: Settings, model: str) -> Load:
    """What loads `model` as `settings` have it."""

    def load(progress: Progress) -> Recognizer:
        return load_recognizer(
            model,
            precision=settings.precision,
            device=settings.device,
            threads=settings.num_threads or None,
            models_dir=settings.models_dir,
            models_url=settings.models_url,
            engine=settings.engine,
            progress=progress,
        )

    return load
