"""The workers that compute."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch

from asr_core.model.glossary import Glossary
from asr_core.model.recognizer import Recognizer
from asr_core.model.threads import using_threads
from asr_core.types import INT16_SCALE, Chunk, Hypothesis

Result = TypeVar("Result")

CROWDED = 1.5
"""Time by the clock over time on a core, from which threads that wait for each other are taken to have waited for a
core. Alone it is 1.0 to 1.2; beside one busy program on two cores 2.0, and a clip takes three to five times as long."""

LONG_WAIT_S = 0.02
"""Seconds of waiting that are not put down to a hiccup."""

CROWDED_S = 60.0
"""Seconds for which pieces that are alone have one thread after that: what it costs if the other program has ended is
little beside what another try costs if it has not."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a worker takes in hand: a chunk, the model that is to hear it, and what to listen for."""

    recognizer: Recognizer
    chunk: Chunk
    glossary: Glossary | None = None


class Workers:
    """`n` threads that compute a piece each. Called on the event loop.

    Threads inside torch meet at thousands of barriers a second, and one that waits for a core holds all of them up,
    while pieces beside each other never wait for one another. Only a piece that is alone gets two. OpenMP keeps helpers
    for each thread that has ever asked for some, and hardly lets them spin once all of them, of all threads, are more
    than the cores. So whatever takes several threads is begun by one and the same.
    """

    def __init__(
        self, n: int, n_threads: int, *, has_spare: bool, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """`n_threads` are what all workers may use inside torch. A spare one may compute beside the `n`."""
        self.n = n
        self.has_spare = has_spare
        self._executor = ThreadPoolExecutor(n + has_spare, thread_name_prefix="compute")
        self._with_helpers = ThreadPoolExecutor(1, thread_name_prefix="compute-alone")
        self._threads_alone = n_threads if n == 1 else 1
        self._clock = clock
        self._crowded_until = -math.inf
        self._n_begun = self._n_running = 0

    @property
    def threads_alone(self) -> int:
        """Threads inside torch for a piece that no other worker computes beside."""
        return self._threads_alone if self.n == 1 or self._clock() >= self._crowded_until else 1

    async def try_two_threads(self, recognizers: Sequence[Recognizer]) -> None:
        """Let a piece that is alone have two threads if no result shows it: where there are several workers, it must
        not."""
        if self.n > 1 and await self.run(lambda: all(each.two_threads_are_exact() for each in recognizers), 2):
            self._threads_alone = 2
            self._crowded_until = -math.inf  # half of that was done by one

    async def run(self, work: Callable[[], Result], n_threads: int = 1) -> Result:
        """`work` on a worker, with so many threads inside torch. What it raises is raised here."""

        def on_worker() -> tuple[Result, float, float]:
            begin, begin_on_core = self._clock(), time.thread_time()
            with using_threads(n_threads):
                result = work()
            return result, self._clock() - begin, time.thread_time() - begin_on_core

        executor = self._executor if n_threads == 1 else self._with_helpers
        self._n_begun += 1
        self._n_running += 1
        begun, was_alone = self._n_begun, self._n_running == 1
        try:
            result, seconds, on_core = await asyncio.get_running_loop().run_in_executor(executor, on_worker)
        finally:
            self._n_running -= 1
        if n_threads > 1 and was_alone and begun == self._n_begun:  # else it may be ourselves who had the cores
            self._judge(seconds, on_core)
        return result

    def _judge(self, seconds: float, on_core: float) -> None:
        """Whether several threads that had the workers to themselves had to wait for cores."""
        if seconds > CROWDED * on_core and seconds - on_core > LONG_WAIT_S:
            self._crowded_until = self._clock() + CROWDED_S

    async def stop(self) -> None:
        """Wait for what is running, drop what is not."""
        executors = (self._executor, self._with_helpers)
        await asyncio.gather(*(asyncio.to_thread(each.shutdown, cancel_futures=True) for each in executors))


def recognize(pieces: Sequence[Piece]) -> list[Hypothesis]:
    """What each piece's model hears in it; called on a worker."""
    heard: dict[int, Hypothesis] = {}
    for recognizer in {id(piece.recognizer): piece.recognizer for piece in pieces}.values():
        mine = [index for index, piece in enumerate(pieces) if piece.recognizer is recognizer]
        waveforms = [torch.from_numpy(pieces[index].chunk.pcm) / INT16_SCALE for index in mine]
        glossaries = [pieces[index].glossary for index in mine]
        heard |= zip(mine, recognizer.recognize(waveforms, glossaries), strict=True)
    return [heard[index] for index in range(len(pieces))]
