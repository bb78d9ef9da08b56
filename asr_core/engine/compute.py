"""The workers that compute."""

from __future__ import annotations

import asyncio
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
    for each thread that has ever asked for some, and spins for the next of their work only while all of them have a
    core. So whatever takes several threads is begun by one and the same.
    """

    def __init__(self, n: int, n_threads: int, *, has_spare: bool) -> None:
        """`n_threads` are what all workers may use inside torch. A spare one may compute beside the `n`."""
        self._n_threads = n_threads
        self.n = n
        self.has_spare = has_spare
        self._executor = ThreadPoolExecutor(n + has_spare, thread_name_prefix="compute")
        self._with_helpers = ThreadPoolExecutor(1, thread_name_prefix="compute-alone")
        self.threads_alone = n_threads if n == 1 else 1
        """Threads inside torch for a piece that no other worker computes beside."""

    async def try_two_threads(self, recognizers: Sequence[Recognizer]) -> None:
        """Let a piece that is alone have two threads if no result shows it: where there are several workers, it must
        not."""
        if self.n > 1 and await self.run(lambda: all(each.two_threads_are_exact() for each in recognizers), 2):
            self.threads_alone = 2

    async def run(self, work: Callable[[], Result], n_threads: int = 1) -> Result:
        """`work` on a worker, with so many threads inside torch. What it raises is raised here."""

        def on_worker() -> Result:
            with using_threads(n_threads):
                return work()

        executor = self._executor if n_threads == 1 else self._with_helpers
        return await asyncio.get_running_loop().run_in_executor(executor, on_worker)

    async def stop(self) -> None:
        """Wait for what is running, drop what is not."""
        for executor in (self._executor, self._with_helpers):
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)


def recognize(pieces: Sequence[Piece]) -> list[Hypothesis]:
    """What each piece's model hears in it; called on a worker."""
    heard: dict[int, Hypothesis] = {}
    for recognizer in {id(piece.recognizer): piece.recognizer for piece in pieces}.values():
        mine = [index for index, piece in enumerate(pieces) if piece.recognizer is recognizer]
        waveforms = [torch.from_numpy(pieces[index].chunk.pcm) / INT16_SCALE for index in mine]
        glossaries = [pieces[index].glossary for index in mine]
        heard |= zip(mine, recognizer.recognize(waveforms, glossaries), strict=True)
    return [heard[index] for index in range(len(pieces))]
