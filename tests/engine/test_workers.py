"""Several workers: what a recording gives does not show them, and what ends their work is seen."""

from __future__ import annotations

import asyncio
import platform
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from torch import Tensor

from asr_core.audio.vad import SileroNetwork
from asr_core.engine import compute
from asr_core.engine.compute import Piece, recognize
from asr_core.engine.engine import Engine
from asr_core.engine.scheduler import Scheduler
from asr_core.errors import ModelError, ModelNotReady, RecognitionFailed
from asr_core.model.recognizer import Recognizer
from asr_core.process_memory import resident_mib
from asr_core.types import SAMPLE_RATE, Chunk, Hypothesis, JobOptions, Span, Token, Transcript
from tests.engine.engines import SAMPLE, Gate, read, run, running, settings, transcribe, until, write


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of several lengths, the longest with many chunks."""
    folder, pcm = tmp_path_factory.mktemp("recordings"), read(SAMPLE)
    lengths_s = (0.7, 3, 5.03, 11.1, 100)
    return [write(folder / f"{s}.wav", np.resize(pcm, round(s * SAMPLE_RATE))) for s in lengths_s]


async def with_tokens(engine: Engine, path: Path) -> Transcript:
    """Probabilities and all."""
    async with engine.open(path, JobOptions(settings().vad, keep_tokens=True)) as job:
        return await job.transcript()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_is_heard_shows_neither_workers_nor_company(recordings: list[Path], precision: str) -> None:
    async def alone(n_workers: int) -> list[Transcript]:
        async with running(num_threads=n_workers, precision=precision) as engine:
            return [await with_tokens(engine, path) for path in recordings]

    async def together(n_workers: int) -> list[Transcript]:
        async with running(num_threads=n_workers, precision=precision) as engine:
            return await asyncio.gather(*(with_tokens(engine, path) for path in recordings))

    expected = run(lambda: alone(1))
    assert all(transcript.text for transcript in expected)
    for n_workers in (2, 3, 4):
        assert run(lambda: alone(n_workers)) == expected  # noqa: B023 - it is called at once
        assert run(lambda: together(n_workers)) == expected  # noqa: B023


def test_chunks_of_one_recording_are_computed_beside_each_other(recordings: list[Path]) -> None:
    async def scenario() -> None:
        gate = Gate()
        gate.open.clear()
        async with running(gate, num_threads=3) as engine:
            reading = asyncio.create_task(transcribe(engine, recordings[-1]))
            await until(lambda: len(gate.batches) == 3)
            gate.open.set()
            await reading

    run(scenario)


def test_chunks_that_come_at_once_wake_as_many_workers(tmp_path: Path) -> None:
    pcm = read(SAMPLE)
    words = np.concatenate([pcm[: 6 * SAMPLE_RATE], np.zeros(3 * SAMPLE_RATE, np.int16)] * 3)
    recording = write(tmp_path / "words.wav", words[: 27 * SAMPLE_RATE])

    async def scenario() -> None:
        gate = Gate()
        gate.open.clear()
        async with running(gate, num_threads=2, vad_min_duration=1, vad_max_duration=7) as engine:
            reading = asyncio.create_task(transcribe(engine, recording))
            await until(lambda: len(gate.batches) == 2)
            gate.open.set()
            await reading

    run(scenario)


def test_only_a_piece_that_is_alone_has_several_threads(
    recordings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recordings[2]
    monkeypatch.setattr(compute, "CROWDED", float("inf"))  # whatever else this machine does

    async def scenario() -> tuple[list[int], list[int]]:
        gate = Gate()
        async with running(gate, num_threads=2) as engine:
            await transcribe(engine, path)
            alone = gate.threads[:]
            gate.threads.clear()
            gate.open.clear()
            reading = [asyncio.create_task(transcribe(engine, path)) for _ in range(3)]
            await until(lambda: len(gate.threads) == 2 and engine.n_waiting == 1)
            gate.open.set()
            await asyncio.gather(*reading)
            return alone, gate.threads

    alone, beside = run(scenario)
    assert alone == [2 if Gate().two_threads_are_exact() else 1]
    assert beside[1] == 1, "its neighbour was being computed"


def test_what_ends_the_work_fails_the_jobs_and_is_told(recordings: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(scheduler: object) -> None:
        raise ZeroDivisionError

    async def scenario() -> str | None:
        async with running() as engine:
            with monkeypatch.context() as patch:
                patch.setattr(Scheduler, "next_batch", broken)
                with pytest.raises(RecognitionFailed):
                    await transcribe(engine, recordings[-1])
            assert not engine.status.loaded
            with pytest.raises(ModelNotReady):
                await transcribe(engine, SAMPLE)
            return engine.status.detail

    assert "restart" in (run(scenario) or "")


def test_whoever_waits_for_the_model_is_told_that_speech_detection_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> SileroNetwork:
        raise ModelError("no weights of Silero VAD")

    monkeypatch.setattr(SileroNetwork, "load", missing)

    async def scenario() -> str | None:
        engine = Engine(settings())
        await engine.start()
        with pytest.raises(ModelError, match="Silero"):
            await engine.ready()
        detail = engine.status.detail
        await engine.stop()
        return detail

    assert "Silero" in (run(scenario) or "")


def test_whoever_waits_for_the_model_is_told_that_the_engine_stops() -> None:
    async def scenario() -> None:
        gate = Gate()
        engine = Engine(settings(), gate)
        await engine.start()
        waiting = asyncio.create_task(engine.ready())
        await engine.stop()
        with pytest.raises(ModelNotReady):
            await waiting

    run(scenario)


def test_a_batch_for_several_models_is_heard_by_each_chunks_own() -> None:
    class Says:
        def __init__(self, name: str) -> None:
            self.name = name

        def recognize(self, waveforms: list[Tensor], glossaries: list[None]) -> list[Hypothesis]:
            return [Hypothesis((Token(f"{self.name}{len(waveform)}", 0, 0.0),), 1) for waveform in waveforms]

    models = {name: cast(Recognizer, Says(name)) for name in "ab"}
    silences = [Chunk(0, Span(0, n), np.zeros(n, np.int16), np.zeros(1, np.float32)) for n in (1, 2, 3)]
    heard = recognize([Piece(models[name], chunk) for name, chunk in zip("bab", silences, strict=True)])
    assert [hypothesis.text for hypothesis in heard] == ["b1", "a2", "b3"]


def test_memory_that_recordings_took_goes_back_once_there_are_no_more(recordings: list[Path]) -> None:
    if resident_mib() is None or platform.libc_ver()[0] != "glibc":
        pytest.skip("only glibc keeps what nobody uses, and only Linux tells")

    async def scenario() -> None:
        async with running() as engine:
            await asyncio.gather(*(transcribe(engine, path) for path in recordings))
            before = resident_mib() or 0
            await until(lambda: (resident_mib() or 0) < before - 4)

    run(scenario)
