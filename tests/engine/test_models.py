"""Models in memory on demand: loads, uses and the clock in any order."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
import weakref
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asr_core.engine.engine import Engine
from asr_core.engine.hints import Listening
from asr_core.engine.models import Models
from asr_core.errors import CheckpointError, ModelNotReady, QueueFull, ServerStopping
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.types import Hints, JobOptions, Keyword
from tests.engine.engines import SAMPLE, SAMPLE_TEXT, Gate, read, run, settings, transcribe, until

IDLE_S = 10.0
NAMES = ("a", "b")


class Hearer:
    """As much of a recogniser as `Models` looks at."""

    device, precision, precision_reason, kernels = "cpu", "fp32", "as configured", "torch"
    languages = ("ru",)


class Loader:
    """A load that takes until the test says what comes of it; how many have begun is counted."""

    def __init__(self) -> None:
        self.n_begun = 0
        self.outcomes: queue.Queue[Exception | None] = queue.Queue()

    def __call__(self, progress: object) -> Recognizer:
        self.n_begun += 1
        if error := self.outcomes.get(timeout=60):
            raise error
        return Hearer()  # type: ignore[return-value]


class ModelsOverTime(RuleBasedStateMachine):
    """Askers that come, wait and leave, loads that succeed and fail, time that passes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.loads = {name: Loader() for name in NAMES}
        self.models = Models(self.loads, idle_s=IDLE_S, clock=lambda: self.now)
        self.askers: list[tuple[str, ExitStack, asyncio.Task[Listening]]] = []
        self.loading: list[str] = []
        """In the order in which they were asked for, which is that of their ends."""
        self.n_ended = Counter[str](NAMES)
        self.last_asked = dict.fromkeys(NAMES, 0.0)
        for loader in self.loads.values():
            loader.outcomes.put(None)
        self.loop.run_until_complete(self.models.load_all())

    def teardown(self) -> None:
        while self.loading:
            self.end_load(None)
        for _, scope, asking in self.askers:
            self.end_asking(scope, asking)
        self.loop.run_until_complete(self.models.stop())
        self.loop.close()
        for name, loader in self.loads.items():
            assert loader.n_begun == self.n_ended[name], "none is begun twice, or in vain"

    @property
    def in_memory(self) -> set[str]:
        return {name for name in NAMES if name in self.models}

    @rule(name=st.sampled_from(NAMES))
    def ask(self, name: str) -> None:
        if name not in self.models and name not in self.loading:
            self.loading.append(name)
        scope = ExitStack()
        scope.enter_context(self.models.asked_for(name))
        asking = self.loop.create_task(self.models.listening(name, Hints()))
        self.loop.run_until_complete(asyncio.sleep(0))
        assert asking.done() == (name in self.models)
        self.askers.append((name, scope, asking))

    @precondition(lambda self: self.askers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Whether or not it still waits."""
        name, scope, asking = self.askers.pop(data.draw(st.integers(0, len(self.askers) - 1)))
        self.last_asked[name] = self.now
        self.end_asking(scope, asking)

    def end_asking(self, scope: ExitStack, asking: asyncio.Task[Listening]) -> None:
        scope.close()
        asking.cancel()
        self.loop.run_until_complete(asyncio.wait([asking]))

    @precondition(lambda self: self.loading)
    @rule(fails=st.booleans())
    def a_load_ends(self, fails: bool) -> None:
        self.end_load(CheckpointError("no such file") if fails else None)

    def end_load(self, error: Exception | None) -> None:
        name = self.loading.pop(0)
        waiting = [asking for other, _, asking in self.askers if other == name and not asking.done()]
        error = error if waiting else None
        self.n_ended[name] += 1
        self.loads[name].outcomes.put(error)
        results = self.loop.run_until_complete(_results(waiting))
        if error is None:
            self.loop.run_until_complete(until(lambda: name in self.models))
            self.last_asked[name] = self.now
            assert all(isinstance(result, Listening) for result in results)
        else:
            assert name not in self.models
            assert all(isinstance(result, ModelNotReady) and "no such file" in str(result) for result in results)

    @rule(seconds=st.integers(1, 12))
    def pass_time(self, seconds: int) -> None:
        before, in_use = self.in_memory, {name for name, _, _ in self.askers}
        self.now += seconds
        idle = {name for name in NAMES if name not in in_use and self.now - self.last_asked[name] >= IDLE_S}
        assert set(self.models.drop_idle()) == before & idle
        assert self.in_memory == before - idle

    @invariant()
    def what_has_been_loaded_once_is_known(self) -> None:
        assert {*self.models.about} == {*NAMES}


async def _results(tasks: Sequence[asyncio.Task[Listening]]) -> list[Listening | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


TestModels = ModelsOverTime.TestCase
TestModels.settings = hypothesis_settings(max_examples=50, stateful_step_count=25, deadline=None)


def unloading(load: Any = None, **changes: object) -> Engine:
    """An engine whose idle models leave memory as soon as anybody looks."""
    return Engine(settings(idle_unload_minutes=1e-6, **changes), load)


async def cold(engine: Engine) -> None:
    await until(lambda: engine.status.ready and not engine.status.loaded)


def test_a_recording_waits_for_its_model_and_comes_out_as_from_a_warm_one() -> None:
    async def scenario() -> None:
        engine = unloading()
        await engine.start()
        for _ in range(2):
            await cold(engine)
            assert engine.status.languages == ("ru",)
            assert (await transcribe(engine, SAMPLE)).text == SAMPLE_TEXT
        await cold(engine)
        hints = JobOptions(settings().vad, hints=Hints((Keyword("日本"),)))
        async with engine.open(SAMPLE, hints) as job:
            (warning,) = (await job.transcript()).warnings
        assert "日本" in warning
        await cold(engine)
        with engine.listen() as ear:
            assert (await ear.hear(read(SAMPLE)[:64_000].copy())).text
            await asyncio.sleep(0.05)
            assert engine.status.loaded, "a live session asks for as long as it lasts"
        await cold(engine)
        await engine.stop()

    run(scenario)


def test_cold_requests_share_a_load_and_have_their_places_in_the_queue() -> None:
    ready, n_loads = threading.Event(), []

    def load(progress: object) -> Recognizer:
        n_loads.append(1)
        assert len(n_loads) == 1 or ready.wait(60)
        return load_recognizer("demo", precision="fp32")

    async def scenario() -> None:
        engine = unloading(load, max_queue=3)
        await engine.start()
        await cold(engine)
        asking = [asyncio.create_task(transcribe(engine, SAMPLE)) for _ in range(3)]
        await until(lambda: engine.n_jobs == 3)
        with pytest.raises(QueueFull):
            await transcribe(engine, SAMPLE)
        asking[0].cancel()  # who leaves does not end what the others wait for
        await until(lambda: len(n_loads) == 2)
        ready.set()
        assert [(await task).text for task in asking[1:]] == [SAMPLE_TEXT] * 2
        assert len(n_loads) == 2
        await engine.stop()

    run(scenario)


def test_a_model_is_not_dropped_under_a_job_that_is_heard_or_waits_its_turn() -> None:
    async def scenario() -> None:
        gate = Gate()
        engine = unloading(gate, num_threads=1)
        await engine.start()
        await cold(engine)
        gate.open.clear()
        asking = [asyncio.create_task(transcribe(engine, SAMPLE)) for _ in range(3)]
        await until(lambda: bool(gate.batches) and engine.n_jobs == 3)
        await asyncio.sleep(0.1)
        assert engine.status.loaded
        gate.open.set()
        for task in asking:
            assert (await task).text == SAMPLE_TEXT
        await cold(engine)
        await engine.stop()

    run(scenario)


def test_a_load_that_fails_is_told_to_those_who_wait_and_the_next_one_tries_again() -> None:
    missing = threading.Event()

    def load(progress: object) -> Recognizer:
        if missing.is_set():
            raise CheckpointError("There is no weights file v3_ctc.ckpt.")
        return load_recognizer("demo", precision="fp32")

    async def scenario() -> None:
        engine = unloading(load)
        await engine.start()
        await cold(engine)
        missing.set()
        for result in await asyncio.gather(*(transcribe(engine, SAMPLE) for _ in range(3)), return_exceptions=True):
            assert isinstance(result, ModelNotReady)
            assert "could not be loaded again. There is no weights file" in str(result)
        with engine.listen() as ear:
            with pytest.raises(ModelNotReady, match="no weights file"):
                await ear.hear(read(SAMPLE)[:64_000].copy())
            assert engine.status.ready
            missing.clear()
            assert (await ear.hear(read(SAMPLE)[:64_000].copy())).text
        await cold(engine)
        assert (await transcribe(engine, SAMPLE)).text == SAMPLE_TEXT
        await engine.stop()

    run(scenario)


def test_stopping_ends_those_who_wait_for_a_load_at_once_and_a_download_at_its_next_piece() -> None:
    begun, stopping = threading.Event(), threading.Event()

    def load(progress: Any) -> Recognizer:
        if begun.is_set():
            stopping.wait(60)
            progress("v3_ctc.ckpt", 1 << 20, None)
            pytest.fail("the download must not go on")
        begun.set()
        return load_recognizer("demo", precision="fp32")

    async def scenario() -> None:
        engine = unloading(load)
        await engine.start()
        await cold(engine)
        asking = asyncio.create_task(transcribe(engine, SAMPLE))
        with engine.listen() as ear:
            hearing = asyncio.create_task(ear.hear(read(SAMPLE)[:64_000].copy()))
            await until(lambda: engine.n_jobs == 1)
            await asyncio.sleep(0.1)
            end = asyncio.create_task(engine.stop())
            for task in (asking, hearing):
                with pytest.raises(ServerStopping):
                    await task
            stopping.set()
            await end

    run(scenario)


def test_what_is_dropped_is_gone_without_a_garbage_collector() -> None:
    async def scenario() -> None:
        recognizers: list[weakref.ref[Recognizer]] = []

        def load(progress: object) -> Recognizer:
            recognizer = load_recognizer("demo", precision="fp32")
            recognizers.append(weakref.ref(recognizer))
            return recognizer

        engine = unloading(load)
        await engine.start()
        await cold(engine)
        options = JobOptions(settings().vad, hints=Hints((Keyword("Больница"),)))
        async with engine.open(SAMPLE, options) as job:
            await job.transcript()
        with engine.listen() as ear:
            await ear.hear(read(SAMPLE)[:64_000].copy())
        await cold(engine)
        assert len(recognizers) >= 2
        assert [ref() for ref in recognizers] == [None] * len(recognizers)
        await engine.stop()

    gc.collect()
    gc.disable()
    try:
        run(scenario)
    finally:
        gc.enable()
