"""Threads: who begins what takes several, when a piece has them, and that none are left behind."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from asr_core.engine import compute, models
from asr_core.engine.compute import CROWDED_S, LONG_WAIT_S, Workers
from asr_core.engine.dispatcher import Dispatcher
from asr_core.engine.hints import Listening
from asr_core.engine.jobs import Job
from asr_core.engine.models import loader
from asr_core.engine.stages import NoStages
from asr_core.model.recognizer import Recognizer
from asr_core.text.writer import Writer
from asr_core.types import SAMPLE_RATE, Chunk, Pcm, Span
from tests.engine.engines import Gate, run, settings, until

TASKS = Path("/proc/self/task")
"""This process's threads, on Linux."""


def test_whatever_takes_several_threads_is_begun_by_the_same_one() -> None:
    async def scenario() -> None:
        workers = Workers(3, 3, has_spare=True)
        try:
            with_one = set(await asyncio.gather(*(workers.run(threading.get_ident) for _ in range(30))))
            with_two = {await workers.run(threading.get_ident, 2) for _ in range(5)}
            assert len(with_two) == 1
            assert not with_one & with_two
        finally:
            await workers.stop()

    run(scenario)


class Exact:
    """A model of which two threads are said to make the same as one."""

    def two_threads_are_exact(self) -> bool:
        return True


def test_where_two_threads_wait_for_cores_a_piece_that_is_alone_has_one_for_a_while() -> None:
    now = 0.0

    def work(seconds: float) -> None:
        nonlocal now
        now += seconds  # by the clock, and next to nothing on a core

    async def scenario() -> None:
        workers = Workers(2, 2, has_spare=True, clock=lambda: now)
        try:
            await workers.try_two_threads([cast(Recognizer, Exact())])
            for seconds, n_threads, expected in ((1.0, 1, 2), (LONG_WAIT_S / 2, 2, 2), (1.0, 2, 1)):
                await workers.run(partial(work, seconds), n_threads)
                assert workers.threads_alone == expected
            work(CROWDED_S)
            assert workers.threads_alone == 2
        finally:
            await workers.stop()

    run(scenario)


@pytest.mark.parametrize("comes_first", [True, False])
def test_two_threads_that_waited_for_other_work_of_ours_are_not_held_back(comes_first: bool) -> None:
    now, begun, end = 0.0, threading.Event(), threading.Event()

    def work() -> None:
        nonlocal now
        begun.set()
        assert end.wait(60)
        now += 1.0

    async def scenario() -> None:
        workers = Workers(2, 2, has_spare=True, clock=lambda: now)
        try:
            await workers.try_two_threads([cast(Recognizer, Exact())])
            both = [asyncio.create_task(workers.run(work, n)) for n in ((1, 2) if comes_first else (2, 1))]
            await until(begun.is_set)
            end.set()
            await asyncio.gather(*both)
            assert workers.threads_alone == 2
        finally:
            await workers.stop()

    run(scenario)


@pytest.mark.skipif(not TASKS.exists(), reason="threads are counted the way Linux does")
def test_loading_a_model_leaves_no_threads_of_openmp(monkeypatch: pytest.MonkeyPatch) -> None:
    load = loader(settings(num_threads=3), "demo")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(torch.get_num_threads).result()
        before = set(TASKS.iterdir())
        with monkeypatch.context() as patch:
            patch.setattr(models, "dismiss_helpers", lambda: None)
            thread.submit(load, lambda *_: None).result()
            assert len(set(TASKS.iterdir()) - before) == 2, "loading has helpers"
        thread.submit(load, lambda *_: None).result()
        deadline = time.monotonic() + 10
        while set(TASKS.iterdir()) - before and time.monotonic() < deadline:
            time.sleep(0.01)  # they end in their own time
        assert not set(TASKS.iterdir()) - before


class ChunkForEach:
    """Cuts a chunk from each block."""

    def push(self, block: Pcm) -> list[Chunk]:
        return [Chunk(0, Span(0, len(block)), block, np.empty(0, np.float32))]

    def flush(self) -> list[Chunk]:
        return []


def test_a_piece_has_one_thread_while_more_of_its_recording_is_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "CROWDED", float("inf"))  # whatever else this machine does
    block = np.zeros(3 * SAMPLE_RATE, np.int16)

    async def scenario() -> list[int]:
        gate, workers = Gate(), Workers(2, 2, has_spare=False)
        await workers.try_two_threads([cast(Recognizer, Exact())])
        dispatcher, job = Dispatcher(workers, 1), Job(NoStages(), Writer())
        job.listening = Listening(gate)
        at_work = asyncio.create_task(dispatcher.run())
        with dispatcher.serving(job):
            analyse = dispatcher.analyser(job, ChunkForEach())
            for n, is_last in ((1, False), (2, True)):
                await analyse([block], is_last)
                await until(lambda n=n: dispatcher.tally.audio_s == 3 * n)  # type: ignore[misc]  # of a lambda's default
        at_work.cancel()
        await asyncio.wait([at_work])
        await workers.stop()
        return gate.threads

    assert run(scenario) == [1, 2]
