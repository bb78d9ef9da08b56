"""The engine with the demo model, ffmpeg and real recordings, many at a time."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tenacity import wait_none

from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.engine.engine import Engine
from asr_core.engine.jobs import BACKLOG
from asr_core.errors import BadAudio, CheckpointError, ModelError, ModelNotReady, QueueFull
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.text.writer import Writer
from asr_core.types import SAMPLE_RATE, Segment, Transcript
from tests.audio.signals import chords
from tests.engine.engines import (
    SAMPLE,
    SAMPLE_TEXT,
    Gate,
    drain,
    read,
    run,
    running,
    settings,
    transcribe,
    until,
    write,
)
from tests.processes import decoders


@pytest.fixture(scope="module")
def pcm() -> np.ndarray:
    return read(SAMPLE)


@pytest.fixture(scope="module")
def long_recording(pcm: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes that ffmpeg has to decode."""
    folder = tmp_path_factory.mktemp("long")
    plain = write(
        folder / "long.wav", np.resize(np.concatenate([pcm, np.zeros(SAMPLE_RATE, np.int16)]), 600 * SAMPLE_RATE)
    )
    ffmpeg("-i", str(plain), str(folder / "long.flac"))
    return folder / "long.flac"


def ffmpeg(*arguments: str) -> None:
    subprocess.run([find_ffmpeg(), "-v", "error", "-nostdin", *arguments], check=True, timeout=60)


def test_the_samples_text_comes_out_with_times_that_stay_inside_it() -> None:
    async def scenario() -> Transcript:
        async with running() as engine:
            return await transcribe(engine, SAMPLE)

    transcript = run(scenario)
    assert transcript.text == SAMPLE_TEXT
    assert [segment.index for segment in transcript.segments] == list(range(len(transcript.segments)))
    times = [t for s in transcript.segments for w in s.words for t in (w.start_s, w.end_s)]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= transcript.duration_s
    assert all(segment.avg_logprob < 0 < 1 - segment.no_speech_prob for segment in transcript.segments)


def test_music_between_voices_gives_no_words(pcm: np.ndarray, tmp_path: Path) -> None:
    music = chords(20, 1)  # the VAD takes some of it for a voice, and the chunk reaches as far as that
    path = write(tmp_path / "song.wav", np.concatenate([pcm[: 9 * SAMPLE_RATE], music, pcm[9 * SAMPLE_RATE :]]))

    async def scenario() -> Transcript:
        async with running() as engine:
            return await transcribe(engine, path)

    words = [word for segment in run(scenario).segments for word in segment.words]
    assert [word for word in words if 9.5 < word.start_s < 28.5] == []
    assert len(words) >= len(SAMPLE_TEXT.split()) - 1  # the last one before the music runs into it


def test_recordings_transcribed_together_come_out_as_they_do_alone(pcm: np.ndarray, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{i}.wav", pcm[i * SAMPLE_RATE :]) for i in range(6)]

    async def scenario() -> tuple[list[Transcript], list[Transcript]]:
        async with running() as engine:
            alone = [await transcribe(engine, path) for path in paths]
            return alone, await asyncio.gather(*(transcribe(engine, path) for path in paths))

    alone, together = run(scenario)
    assert together == alone


def test_one_recording_more_than_max_queue_is_refused_and_a_place_comes_free(long_recording: Path) -> None:
    async def scenario() -> str:
        async with running(max_queue=1) as engine:
            async with engine.open(long_recording):
                with pytest.raises(QueueFull):
                    await transcribe(engine, SAMPLE)
            return (await transcribe(engine, SAMPLE)).text

    assert run(scenario) == SAMPLE_TEXT


@pytest.mark.parametrize("how", ["leave", "raise", "cancel"])
def test_a_job_that_is_left_leaves_nothing_behind(how: str, long_recording: Path) -> None:
    async def reading(engine: Engine, begun: asyncio.Event) -> None:
        async with engine.open(long_recording) as job:
            async for _ in job:
                begun.set()
                if how == "leave":
                    return
                if how == "raise":
                    raise RuntimeError("the reader failed")

    async def scenario() -> float:
        async with running(max_queue=1) as engine:
            begun = asyncio.Event()
            reader = asyncio.create_task(reading(engine, begun))
            await begun.wait()
            if how == "cancel":
                reader.cancel()
            await asyncio.wait([reader])
            assert decoders() == []
            assert engine.n_jobs == 0
            heard = engine.tally.audio_s
            assert (await transcribe(engine, SAMPLE)).text == SAMPLE_TEXT
            return heard

    assert run(scenario) < 300, "most of the ten minutes must not have been computed"


def test_a_reader_who_does_not_read_stops_the_decoding(long_recording: Path) -> None:
    async def scenario() -> float:
        async with running() as engine, engine.open(long_recording) as job:
            await until(lambda: job.duration_s >= 60)
            await asyncio.sleep(3)  # enough to decode all of it
            return job.duration_s

    assert run(scenario) < (BACKLOG + 3) * 30


def test_a_shorter_recording_is_done_long_before_the_long_one_beside_it(
    long_recording: Path, pcm: np.ndarray, tmp_path: Path
) -> None:
    shorter = write(tmp_path / "shorter.wav", pcm[: 8 * SAMPLE_RATE])

    async def scenario() -> int:
        gate = Gate()
        async with running(gate, num_threads=1) as engine, engine.open(long_recording) as long:
            segments = aiter(long)
            await anext(segments)
            reading = asyncio.create_task(drain(segments))
            n_begun = len(gate.batches)
            gate.open.clear()  # the long recording's next batch is held while the shorter one arrives
            await until(lambda: len(gate.batches) > n_begun)
            async with engine.open(shorter) as job:  # all of it is decoded when this is entered
                n_before = len(gate.batches)
                gate.open.set()
                assert (await job.transcript()).text
            reading.cancel()
            return gate.longest.index(8 * SAMPLE_RATE) - n_before

    assert run(scenario) == 0, "no batch of the long one's begins before it"


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_short_recording_waits_for_no_long_chunk(
    n_workers: int, long_recording: Path, pcm: np.ndarray, tmp_path: Path
) -> None:
    notes = [write(tmp_path / f"{n}.wav", pcm[: (3 + n) * SAMPLE_RATE]) for n in range(3)]

    async def scenario() -> list[str]:
        gate = Gate()
        gate.holds_from = 6 * SAMPLE_RATE
        async with running(gate, num_threads=n_workers) as engine:
            alone = [(await transcribe(engine, note)).text for note in notes]
            gate.open.clear()
            async with engine.open(long_recording) as long:
                reading = asyncio.create_task(drain(aiter(long)))
                await until(lambda: len(gate.batches) == len(notes) + n_workers)  # a long chunk in every worker's hand
                beside = await asyncio.gather(*(transcribe(engine, note) for note in notes))
                assert [transcript.text for transcript in beside] == alone
                assert not reading.done(), "the gate holds its chunks still"
                gate.open.set()
                reading.cancel()
            return alone

    assert all(run(scenario))


def test_hours_of_silence_do_not_keep_a_short_recording_from_the_model(pcm: np.ndarray, tmp_path: Path) -> None:
    silence, short = tmp_path / "silence.flac", write(tmp_path / "short.wav", pcm[: 4 * SAMPLE_RATE])
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=7200", str(silence))

    async def scenario() -> int:
        async with running() as engine:
            silences = [asyncio.create_task(transcribe(engine, silence)) for _ in range(4)]
            await until(lambda: engine.n_jobs == 4)
            assert (await transcribe(engine, short)).text
            still_running = sum(not task.done() for task in silences)
            for task in silences:
                task.cancel()
            await asyncio.wait(silences)
            return still_running

    assert run(scenario) == 4


def test_a_result_that_cannot_be_written_down_ends_its_job_alone(
    pcm: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "short.wav", pcm[: 4 * SAMPLE_RATE])

    def broken(*_: object) -> list[Segment]:
        raise ZeroDivisionError

    async def scenario() -> str:
        async with running() as engine:
            with monkeypatch.context() as patch:
                patch.setattr(Writer, "write", broken)
                with pytest.raises(ModelError):
                    await transcribe(engine, path)
            return (await transcribe(engine, path)).text

    assert run(scenario)


def test_what_cannot_be_decoded_is_refused_before_anything_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "junk.mp3"
    path.write_bytes(b"junk" * 1000)

    async def scenario() -> int:
        async with running() as engine:
            with pytest.raises(BadAudio):
                async with engine.open(path):
                    pytest.fail("the job must not have begun")
            return engine.n_jobs

    assert run(scenario) == 0


def test_a_recording_that_the_model_fails_on_spoils_no_other(pcm: np.ndarray, tmp_path: Path) -> None:
    good_path, bad = write(tmp_path / "good.wav", pcm[:80_000]), write(tmp_path / "bad.wav", pcm[:70_000])

    async def scenario() -> tuple[Transcript, list[Transcript | BaseException]]:
        gate = Gate()
        gate.poison = 70_000
        gate.open.clear()
        async with running(gate) as engine:
            gate.open.set()
            alone = await transcribe(engine, good_path)
            gate.open.clear()
            async with AsyncExitStack() as jobs:
                opened = [await jobs.enter_async_context(engine.open(path)) for path in (good_path, bad, bad)]
                gate.open.set()
                results = await asyncio.gather(*(job.transcript() for job in opened), return_exceptions=True)
            return alone, results

    alone, (good, *failed) = run(scenario)
    assert alone.text
    assert good == alone
    assert all(isinstance(error, ModelError) for error in failed)


def test_a_model_that_cannot_be_loaded_is_explained_and_tried_again() -> None:
    attempts: list[int] = []
    missing = threading.Event()

    def load(progress: object) -> Recognizer:
        attempts.append(1)
        if not missing.wait(0.05):
            raise CheckpointError("There is no weights file v3_ctc.ckpt.")
        return load_recognizer("demo")

    async def scenario() -> str:
        engine = Engine(settings(), load, retry=wait_none())
        await engine.start()
        with pytest.raises(CheckpointError, match="no weights file"):
            await engine.ready()
        await until(lambda: len(attempts) > 2)
        assert not engine.status.loaded
        assert engine.status.detail
        assert "no weights file" in engine.status.detail
        with pytest.raises(ModelNotReady, match="no weights file"):
            await transcribe(engine, SAMPLE)
        missing.set()
        await until(lambda: engine.status.loaded)
        text = (await transcribe(engine, SAMPLE)).text
        await engine.stop()
        return text

    assert run(scenario) == SAMPLE_TEXT


def test_stopping_ends_the_jobs_that_are_open(long_recording: Path) -> None:
    async def scenario() -> list[Any]:
        before = threading.active_count()
        async with running() as engine:
            reading = asyncio.create_task(transcribe(engine, long_recording))
            await until(lambda: engine.tally.audio_s > 0)
        with pytest.raises(ModelNotReady):
            await reading
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("compute")], before
        return decoders()

    assert run(scenario) == []
