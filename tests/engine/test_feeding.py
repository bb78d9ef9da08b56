"""A job's sound on its way to the workers: decoded ahead of them, whole, in order, and not too far."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.audio.decode import Recording
from asr_core.audio.downmix import WINDOW, Sound
from asr_core.engine.feeding import AHEAD, feed
from asr_core.engine.hints import Listening
from asr_core.engine.jobs import Job
from asr_core.engine.stages import NoStages
from asr_core.errors import DecoderFailed
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.text.writer import Writer
from asr_core.types import SAMPLE_RATE, Pcm, Segment

BLOCKS = 12


@cache
def demo() -> Recognizer:
    return load_recognizer("demo", precision="fp32")


class Tape:
    """Windows of sound, the last one shorter, each of its own loudness; then an end, or what breaks it off."""

    warnings: Sequence[str] = ("It hisses.",)

    def __init__(self, n_windows: int, error: Exception | None = None) -> None:
        self.n_read = 0
        self._n_windows, self._error = n_windows, error

    async def read(self) -> Sound:
        await asyncio.sleep(0)
        self.n_read += 1
        if self.n_read > self._n_windows and self._error:
            raise self._error
        n_samples = WINDOW if self.n_read <= self._n_windows else SAMPLE_RATE
        return np.full((n_samples, 1), self.n_read / 100, np.float32)


def fed(tape: Tape, looks: Callable[[int], int]) -> tuple[list[list[Pcm]], list[bool], Job, Exception | None]:
    """What is looked at of `tape`, in which goes, where the n-th look takes `looks(n)` turns of the loop."""

    async def run() -> tuple[list[list[Pcm]], list[bool], Job, Exception | None]:
        job, goes, lasts = Job(NoStages(), Writer()), [], []
        error: Exception | None = None

        @asynccontextmanager
        async def decoding() -> AsyncIterator[Recording]:
            yield Recording(tape, 3600.0)

        async def attend() -> None:
            job.listening = Listening(demo())

        async def analyse(blocks: Sequence[Pcm], is_last: bool) -> int:
            goes.append(list(blocks))
            lasts.append(is_last)
            for _ in range(looks(len(goes))):
                await asyncio.sleep(0)
            return 0

        async def settle() -> Sequence[Segment]:
            return ()

        await feed(job, decoding(), attend, analyse, settle)
        try:
            await job.started
            await job.transcript()
        except Exception as raised:
            error = raised
        return goes, lasts, job, error

    return asyncio.run(run())


@given(n_windows=st.integers(0, BLOCKS), turns=st.lists(st.integers(0, 40), min_size=1))
def test_all_that_is_decoded_is_looked_at_in_order_and_its_end_is_known(n_windows: int, turns: list[int]) -> None:
    goes, lasts, job, error = fed(Tape(n_windows), lambda n: turns[n % len(turns)])
    assert error is None
    assert [len(block) for blocks in goes for block in blocks] == [WINDOW] * n_windows + [SAMPLE_RATE]
    loudness = [int(np.abs(block).max()) for blocks in goes for block in blocks]
    assert loudness == sorted(loudness)
    assert lasts == [False] * (len(goes) - 1) + [True]
    assert job.duration_s == 10 * n_windows + 1
    assert job.warnings == ["It hisses."]


@given(n_windows=st.integers(1, BLOCKS), turns=st.integers(0, 40))
def test_what_breaks_off_is_looked_at_as_far_as_it_goes(n_windows: int, turns: int) -> None:
    goes, lasts, job, error = fed(Tape(n_windows, DecoderFailed("It broke.")), lambda _: turns)
    assert isinstance(error, DecoderFailed)
    assert sum(map(len, goes)) >= n_windows - 1, "the last one may have been held back, to know whether it is"
    assert not any(lasts)
    assert job.duration_s >= 10 * (n_windows - 1)


@pytest.mark.parametrize("n_windows", [BLOCKS, 100])
def test_blocks_are_decoded_while_others_are_looked_at_and_not_far_ahead(n_windows: int) -> None:
    tape, ahead = Tape(n_windows), []

    def look(n: int) -> int:
        ahead.append(tape.n_read)
        return 1000

    goes, *_ = fed(tape, look)
    assert max(map(len, goes)) > 1, "a worker finds several"
    taken = np.cumsum([len(blocks) for blocks in goes])
    assert all(read - n <= AHEAD + 3 for read, n in zip(ahead, taken, strict=True))
