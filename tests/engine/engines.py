"""The engine with the demo model: how tests run it, and a gate in front of the model."""

from __future__ import annotations

import asyncio
import threading
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from asr_core.engine.engine import Engine
from asr_core.engine.models import Load
from asr_core.model.glossary import Glossary
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.model.weights import DEMO
from asr_core.settings import Settings
from asr_core.types import SAMPLE_RATE, Hypothesis, KeywordsSpelling, Spelling, Transcript

SAMPLE = DEMO.with_name("speech.wav")
SAMPLE_TEXT = DEMO.with_name("speech.txt").read_text(encoding="utf-8").strip()

Result = TypeVar("Result")


def settings(**changes: object) -> Settings:
    return Settings.model_validate({"model": "demo", "precision": "fp32", **changes})


class Gate:
    """The demo model behind a gate that tests open and close; it counts what goes through."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.holds_from = 0
        """Samples of the shortest waveform that it holds when it is closed."""
        self.batches: list[int] = []
        self.longest: list[int] = []
        """Samples of the longest waveform in each of the batches."""
        self.threads: list[int] = []
        """Threads inside torch for each of the batches."""
        self.n_glossaries = 0
        self.poison: int | None = None
        """Number of samples of a waveform that the model is to fail on."""
        self._recognizer = load_recognizer("demo", precision="fp32")
        self.device, self.precision = self._recognizer.device, self._recognizer.precision
        self.precision_reason, self.kernels = self._recognizer.precision_reason, self._recognizer.kernels
        self.languages = self._recognizer.languages
        self.hears_keywords = self._recognizer.hears_keywords

    def __call__(self, progress: object) -> Recognizer:
        return self

    def encode(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        return self._recognizer.encode(waveforms)

    def log_probs(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        return self._recognizer.log_probs(waveforms)

    def two_threads_are_exact(self) -> bool:
        return self._recognizer.two_threads_are_exact()

    def glossary(self, keywords: Sequence[Sequence[Spelling]], style: KeywordsSpelling) -> Glossary:
        self.n_glossaries += 1
        return self._recognizer.glossary(keywords, style)

    def recognize(
        self, waveforms: Sequence[Tensor], glossaries: Sequence[Glossary | None] | None = None
    ) -> list[Hypothesis]:
        self.longest.append(max(map(len, waveforms)))
        self.batches.append(len(waveforms))
        self.threads.append(torch.get_num_threads())
        if self.longest[-1] >= self.holds_from:
            assert self.open.wait(60)
        if any(len(waveform) == self.poison for waveform in waveforms):
            raise RuntimeError("poison")
        return self._recognizer.recognize(waveforms, glossaries)


def read(path: Path) -> np.ndarray:
    """The samples of a 16 kHz mono wav file, int16 [S]."""
    with wave.open(str(path)) as recording:
        return np.frombuffer(recording.readframes(recording.getnframes()), np.int16)


def write(path: Path, pcm: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as recording:
        recording.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        recording.writeframes(pcm.astype("<i2").tobytes())
    return path


@asynccontextmanager
async def running(load: Load | None = None, **changes: object) -> AsyncIterator[Engine]:
    engine = Engine(settings(**changes), load)
    await engine.start()
    await until(lambda: engine.status.loaded)
    try:
        yield engine
    finally:
        await engine.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def transcribe(engine: Engine, path: Path) -> Transcript:
    async with engine.open(path) as job:
        return await job.transcript()


def run(scenario: Callable[[], Awaitable[Result]]) -> Result:
    async def whole() -> Result:
        return await scenario()

    return asyncio.run(whole())


async def drain(items: AsyncIterator[object]) -> None:
    async for _ in items:
        pass
