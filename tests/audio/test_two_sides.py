"""Two channels: what one repeats of the other, whether they are two sides, and the chunks of both."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_core.audio.channels import ChannelSegmenter
from asr_core.audio.chunking import ChunkPolicy
from asr_core.audio.crosstalk import HOP, Crosstalk
from asr_core.audio.decode import decode
from asr_core.audio.downmix import WINDOW, Sound
from asr_core.audio.header import Header
from asr_core.audio.segmenter import Segmenter
from asr_core.audio.sides import Sides
from asr_core.types import INT16_SCALE, SAMPLE_RATE, ChannelMode, Chunk, Pcm
from tests.audio.signals import in_blocks
from tests.audio.voices import LEVELS, QUIET_COUNTS, LoudIsSpeech, sound
from tests.engine.engines import SAMPLE, read

SHORT = ChunkPolicy.from_seconds(min_duration=1.5, max_duration=2.2, strict_limit=3, new_chunk_threshold=0.2)


@pytest.fixture(scope="module")
def turns() -> Sound:
    """Two who speak in turn, [S, 2]: the first ten seconds of the sample are one's, the other's are those after it."""
    spoken = read(SAMPLE)[: 20 * SAMPLE_RATE].astype(np.float32) / INT16_SCALE
    first = np.arange(len(spoken)) < WINDOW
    return np.stack((spoken * first, spoken * ~first), axis=1)


def crossing(sides: Sound, decibel: float, lag: int = 160) -> Sound:
    """Each side faintly hears the other, a little later; both have some noise of their own."""
    noise = np.random.default_rng(1).normal(0, 1e-4, sides.shape).astype(np.float32)
    return (sides + np.roll(sides[:, ::-1], lag, axis=0) * np.float32(10 ** (decibel / 20)) + noise).astype(np.float32)


def cleaned(channels: Sound) -> Sound:
    gate = Crosstalk()
    return np.concatenate([gate.push(channels[at : at + WINDOW]) for at in range(0, len(channels), WINDOW)])


@pytest.mark.parametrize("decibel", [-20, -30, -40])
@pytest.mark.parametrize("lag", [0, 160, 480])
def test_what_a_side_hears_of_the_other_is_silenced_and_what_it_says_is_not(
    turns: Sound, decibel: float, lag: int
) -> None:
    heard = cleaned(crossing(turns, decibel, lag))
    left, right = heard[SAMPLE_RATE : WINDOW - SAMPLE_RATE].T
    assert np.square(right).sum() < 1e-5 * np.square(left).sum()
    spoken = turns[SAMPLE_RATE : WINDOW - SAMPLE_RATE, 0]
    assert np.square(left - spoken).sum() < 0.02 * np.square(spoken).sum()


def test_a_side_that_speaks_quietly_while_the_other_does_is_heard(turns: Sound) -> None:
    both = np.stack((turns[:WINDOW, 0], 0.1 * turns[WINDOW : 2 * WINDOW, 1]), axis=1)
    heard = cleaned(both)
    assert np.square(heard[:, 1]).sum() > 0.9 * np.square(both[:, 1]).sum()
    np.testing.assert_array_equal(heard[:, 0], both[:, 0])


@pytest.mark.parametrize("n_samples", [0, 1, HOP - 1, HOP, 3 * HOP + 1])
def test_nothing_is_added_nor_lost_at_the_end(n_samples: int) -> None:
    channels = np.ones((n_samples, 3), np.float32)
    np.testing.assert_array_equal(cleaned(channels) if n_samples else Crosstalk().push(channels), channels)


STEREO: dict[str, tuple[Callable[[Sound], Sound], bool]] = {
    "two sides": (lambda turns: turns, True),
    "two sides that hear each other": (lambda turns: crossing(turns, -20), True),
    "both the same": (lambda turns: turns.sum(axis=1, keepdims=True).repeat(2, axis=1), False),
    "one room, two microphones": (lambda turns: crossing(turns, -4, 30), False),
    "in opposite phase": (lambda turns: turns.sum(axis=1, keepdims=True) * np.array([1, -1], np.float32), False),
    "one channel says nothing": (lambda turns: turns.sum(axis=1, keepdims=True) * np.array([1, 0], np.float32), False),
    "silence": (np.zeros_like, False),
}


@pytest.mark.parametrize("name", STEREO)
def test_two_channels_are_two_sides_or_one_room(turns: Sound, name: str) -> None:
    made, two = STEREO[name]
    sides = Sides()
    channels = made(turns)
    for at in range(0, len(channels), WINDOW):
        sides.push(channels[at : at + WINDOW])
    assert sides.are_two is two


def test_a_minute_of_speech_is_enough_to_tell(turns: Sound) -> None:
    sides, n_seconds = Sides(), 0
    while not sides.heard_enough:
        sides.push(turns[:WINDOW])
        n_seconds += WINDOW // SAMPLE_RATE
    assert 60 <= n_seconds <= 120


@settings(max_examples=40, deadline=None)
@given(both=st.tuples(LEVELS, LEVELS), cuts=st.lists(st.integers(0), max_size=20))
def test_chunks_of_two_channels_are_those_of_each_and_none_comes_too_early(
    both: tuple[object, object], cuts: list[int]
) -> None:
    left, right = (sound(levels) for levels in both)  # type: ignore[arg-type]  # a pair stays one
    length = min(len(left), len(right))
    block = np.stack((left[:length], right[:length]))

    def make() -> Segmenter:
        return Segmenter(LoudIsSpeech(), SHORT, QUIET_COUNTS, whole_limit_s=2.5)

    together = ChannelSegmenter(make)
    chunks: list[Chunk] = []
    for piece in in_blocks(np.arange(length), cuts):  # type: ignore[arg-type]  # numbers of any kind
        chunks += together.push(block[:, piece])
    chunks += together.flush() if length else []
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert all(chunk.settled <= later.heard.start for later in chunks[chunk.index + 1 :])
    for channel in range(2):
        alone = make()
        expected = [alone.push(block[channel]), alone.flush()]
        spans = [(chunk.span, chunk.pcm.tobytes()) for chunk in chunks if chunk.channel == channel]
        assert spans == [(chunk.span, chunk.pcm.tobytes()) for part in expected for chunk in part]


@pytest.mark.parametrize(
    ("layout", "channels"),
    [("mono", 1), ("1 channels", 1), ("stereo", 2), ("2.1", 3), ("5.1(side)", 6), ("7.1.4", 12), ("16 channels", 16)],
)
def test_a_layout_says_how_many_channels_there_are(layout: str, channels: int) -> None:
    header = Header()
    header.read(f"[info]   Stream #0:0: Audio: pcm_s16le, 16000 Hz, {layout}, s16, 256 kb/s")
    assert [track.channels for track in header.tracks] == [channels]


async def decoded(path: Path, channels: ChannelMode) -> list[Pcm]:
    async with decode(path, max_seconds=60, channels=channels) as blocks:
        return [block async for block in blocks]


@pytest.mark.parametrize(("n_channels", "n_heard"), [(1, 1), (2, 2), (3, 3), (6, 6), (8, 8), (9, 1)])
def test_up_to_eight_channels_are_heard_as_they_are(tmp_path: Path, n_channels: int, n_heard: int) -> None:
    pcm = np.random.default_rng(2).integers(-3000, 3000, (11 * SAMPLE_RATE, n_channels)).astype("<i2")
    path = tmp_path / "channels.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((n_channels, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(pcm.tobytes())
    blocks = asyncio.run(decoded(path, "split"))
    assert sum(block.shape[-1] for block in blocks) == len(pcm)
    assert {block.shape[0] if block.ndim > 1 else 1 for block in blocks} == {n_heard}
    if n_heard == n_channels > 1:
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), pcm.T)
    assert [block.ndim for block in asyncio.run(decoded(path, "mix"))] == [1, 1]
