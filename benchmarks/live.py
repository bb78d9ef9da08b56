"""Live sessions: how long after a word its text is there, and how many sessions the machine holds.

The model that computes has official size and random weights, which know no words: what it takes the time for, the demo
model then says.
"""

from __future__ import annotations

import asyncio
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import numpy as np
from torch import Tensor

from asr_core.api.realtime.driver import Driver
from asr_core.cli.sample import RECORDING
from asr_core.engine.engine import Engine
from asr_core.live import events
from asr_core.live.turns import TurnOptions
from asr_core.model.glossary import Glossary
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.settings import Settings
from asr_core.types import SAMPLE_RATE, Hypothesis, KeywordsSpelling, Pcm, Spelling
from benchmarks.recordings import wav
from benchmarks.timing import Finding

STEP = SAMPLE_RATE // 10
"""Samples that a client sends at once."""
ALONE_P95_S, FOUR_P95_S, HELD_P95_S, COMPLETED_S = 1.2, 2.0, 1.5, 0.3
MOST = 32


class Spoken:
    """`costly` for the time that it takes, `wordy` for what it says."""

    hears_keywords = False

    def __init__(self, costly: Recognizer, wordy: Recognizer) -> None:
        self._costly, self._wordy = costly, wordy
        self.device, self.precision = costly.device, costly.precision
        self.precision_reason, self.kernels = costly.precision_reason, costly.kernels
        self.languages = wordy.languages

    def encode(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        return self._costly.encode(waveforms)

    def log_probs(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        return self._costly.log_probs(waveforms)

    def glossary(self, keywords: Sequence[Sequence[Spelling]], style: KeywordsSpelling) -> Glossary:
        return self._wordy.glossary(keywords, style)

    def recognize(
        self, waveforms: Sequence[Tensor], glossaries: Sequence[Glossary | None] | None = None
    ) -> list[Hypothesis]:
        self._costly.recognize(waveforms)
        return self._wordy.recognize(waveforms)

    def two_threads_are_exact(self) -> bool:
        return self._costly.two_threads_are_exact()


@dataclass(slots=True)
class Delays:
    """Seconds, over all sessions."""

    words: list[float] = field(default_factory=list)
    completed: list[float] = field(default_factory=list)
    """After the end of speech was announced."""
    contradicted: int = 0
    items: int = 0

    @property
    def p95(self) -> float:
        return quantiles(self.words, n=20)[-1]


def run(checkpoint: Path, folder: Path, precision: str) -> Iterator[list[Finding]]:
    """Alone, four at once, beside a file, and as many as the machine holds."""

    def load(progress: object) -> Recognizer:
        return Spoken(
            load_recognizer(str(checkpoint), precision=precision, device="cpu"),
            load_recognizer("demo", precision="fp32", device="cpu"),
        )

    with asyncio.Runner() as runner:
        engine = Engine(Settings(max_live=MOST, device="cpu", _env_file=None), load)
        runner.run(engine.start())
        runner.run(engine.ready())
        runner.run(sessions(engine, 1, 8.0))  # sets buffers up
        hour = wav(folder, 3600).path
        for name, n, bound, beside in (
            ("alone", 1, ALONE_P95_S, None),
            ("4 sessions", 4, FOUR_P95_S, None),
            ("alone beside a file", 1, None, hour),
            ("4 sessions beside a file", 4, None, hour),
        ):
            yield _found(name, runner.run(_measured(engine, n, beside)), bound)
        yield [Finding("sessions held, word p95 within 1.5 s", _held(engine, runner.run))]
        runner.run(engine.stop())


def _held(engine: Engine, run_: Callable[..., tuple[Delays, float]]) -> float:
    n = 4
    while n < MOST and run_(_measured(engine, n + 2, None))[0].p95 <= HELD_P95_S:
        n += 2
    return n


async def _measured(engine: Engine, n: int, beside: Path | None) -> tuple[Delays, float]:
    """Delays of `n` sessions, and the share of a core's time that hearing took."""
    before, begin = engine.tally.live_compute_s, time.perf_counter()
    if beside is None:
        delays = await sessions(engine, n)
    else:
        async with engine.open(beside) as job:
            reading = asyncio.create_task(job.transcript())
            delays = await sessions(engine, n)
            reading.cancel()
    return delays, (engine.tally.live_compute_s - before) / (time.perf_counter() - begin)


async def sessions(engine: Engine, n: int, seconds: float = 21.2) -> Delays:
    """The sample, at the pace of speech, `n` times at once, each beginning elsewhere in it."""
    with wave.open(str(RECORDING)) as recording:
        sound = np.frombuffer(recording.readframes(recording.getnframes()), np.int16)
    delays = Delays()
    shifted = [np.roll(sound, -number * len(sound) // n)[: int(seconds * SAMPLE_RATE)] for number in range(n)]
    await asyncio.gather(*(_session(engine, each, delays, number / n * 0.3) for number, each in enumerate(shifted)))
    return delays


async def _session(engine: Engine, sound: Pcm, delays: Delays, after_s: float) -> None:
    await asyncio.sleep(after_s)
    begin = time.perf_counter()
    stopped: dict[str, float] = {}

    async def tell(happened: Sequence[events.Event]) -> None:
        now = time.perf_counter() - begin
        for event in happened:
            if isinstance(event, events.Delta):
                delays.words += [now - word.span.end_s for word in event.words]
            elif isinstance(event, events.SpeechStopped):
                stopped[event.item_id] = now
            elif isinstance(event, events.Completed) and event.item_id in stopped:
                delays.completed.append(now - stopped[event.item_id])
                delays.items += 1

    async def speak(driver: Driver) -> None:
        for start in range(0, len(sound), STEP):
            await asyncio.sleep(max(0.0, (start + STEP) / SAMPLE_RATE - (time.perf_counter() - begin)))
            await driver.listen(sound[start : start + STEP])
        await driver.finish()

    with engine.listen() as ear:
        driver = Driver(ear, TurnOptions(), tell)
        await driver.serve(speak(driver))
    delays.contradicted += driver.session.n_contradicted


def _found(name: str, measured: tuple[Delays, float], p95: float | None) -> list[Finding]:
    delays, share = measured
    return [
        Finding(f"word → its delta, {name}, median", median(delays.words), "s"),
        Finding(f"word → its delta, {name}, p95", delays.p95, "s", at_most=p95),
        Finding(f"speech_stopped → completed, {name}, median", median(delays.completed), "s"),
        Finding(
            f"speech_stopped → completed, {name}, longest", max(delays.completed), "s", at_most=p95 and COMPLETED_S
        ),
        Finding(f"hearing, {name}, share of one core", share),
        Finding(f"items whose clean hearing contradicts deltas, {name}", delays.contradicted / max(delays.items, 1)),
    ]
