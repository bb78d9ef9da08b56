"""Hearings of live sessions among files' chunks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from asr_core.errors import ModelNotReady, RecognitionFailed, TooManySessions
from asr_core.types import Chunk, Hypothesis
from tests.engine.engines import SAMPLE, SAMPLE_TEXT, Gate, read, run, running, until


def test_a_hearing_goes_before_a_files_chunks_and_files_get_on_beside_many(tmp_path: Path) -> None:
    async def scenario() -> None:
        gate = Gate()
        async with running(gate, num_threads=1, vad_min_duration=1, vad_max_duration=2, vad_strict_limit=4) as engine:
            gate.open.clear()
            with engine.listen() as ear:
                async with engine.open(SAMPLE) as job:
                    await until(lambda: len(gate.batches) == 1 and engine.n_waiting > 0)
                    hearings = [asyncio.create_task(ear.hear(read(SAMPLE)[:16_000].copy())) for _ in range(9)]
                    await asyncio.sleep(0)
                    order: list[str] = []
                    for hearing in hearings:
                        hearing.add_done_callback(lambda _: order.append("hearing"))
                    write = job.heard

                    def heard(chunk: Chunk, hypothesis: Hypothesis) -> None:
                        order.append("chunk")
                        write(chunk, hypothesis)

                    job.heard = heard  # type: ignore[method-assign]  # for this job alone
                    gate.open.set()
                    assert (await job.transcript()).text == SAMPLE_TEXT
                    await asyncio.gather(*hearings)
            assert order[:7] == ["chunk", *["hearing"] * 4, "chunk", "hearing"]

    run(scenario)


def test_a_hearing_does_not_depend_on_company_and_is_what_a_file_would_be_heard_as() -> None:
    async def scenario() -> None:
        async with running() as engine:
            with engine.listen() as ear:
                sound = read(SAMPLE)[: 5 * 16_000].copy()
                alone = await ear.hear(sound)
                together = await asyncio.gather(*(ear.hear(sound) for _ in range(5)))
                assert all(hypothesis == alone for hypothesis in together)

    run(scenario)


def test_probabilities_are_the_same_however_the_sound_is_cut() -> None:
    async def scenario() -> None:
        async with running() as engine:
            sound = read(SAMPLE)[:50_000]
            with engine.listen() as one, engine.listen() as other:
                whole = await one.probabilities(sound)
                pieces = [await other.probabilities(sound[at : at + 777]) for at in range(0, len(sound), 777)]
                assert np.array_equal(np.concatenate(pieces), whole)

    run(scenario)


def test_sessions_are_counted_and_a_failure_is_the_hearings_alone() -> None:
    async def scenario() -> None:
        gate = Gate()
        gate.poison = 16_000
        async with running(gate, max_live=1) as engine:
            with engine.listen() as ear:
                with pytest.raises(TooManySessions), engine.listen():
                    pass
                with pytest.raises(RecognitionFailed):
                    await ear.hear(np.zeros(16_000, np.int16))
                await ear.hear(np.zeros(16_001, np.int16))
            with engine.listen():
                assert engine.n_live == 1
        assert engine.n_live == 0
        with pytest.raises(ModelNotReady), engine.listen():
            pass

    run(scenario)


def test_a_session_that_leaves_while_it_is_heard_leaves_nothing() -> None:
    async def scenario() -> None:
        gate = Gate()
        async with running(gate, num_threads=1) as engine:
            gate.open.clear()
            with engine.listen() as ear:
                hearing = asyncio.create_task(ear.hear(np.zeros(16_000, np.int16)))
                waiting = asyncio.create_task(ear.hear(np.zeros(16_000, np.int16)))
                await until(lambda: len(gate.batches) == 1)
                for task in (hearing, waiting):
                    task.cancel()
            gate.open.set()
            with engine.listen() as ear:
                await ear.hear(np.zeros(8_000, np.int16))
            assert len(gate.batches) == 2

    run(scenario)


def test_a_server_that_stops_ends_hearings() -> None:
    async def scenario() -> None:
        gate = Gate()
        async with running(gate, num_threads=1) as engine:
            gate.open.clear()
            with engine.listen() as ear:
                hearings = [asyncio.create_task(ear.hear(np.zeros(16_000, np.int16))) for _ in range(2)]
                await until(lambda: len(gate.batches) == 1)
                stopping = asyncio.create_task(engine.stop())
                for hearing in hearings:
                    with pytest.raises(ModelNotReady):
                        await hearing
                gate.open.set()
                await stopping

    run(scenario)
