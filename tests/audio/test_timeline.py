"""The clock adds silence and takes nothing: the rules, and what holds for every clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.audio.timeline import CREEP_PERIOD, TOLERANCE, Timeline
from asr_core.types import SAMPLE_RATE

PACKET = SAMPLE_RATE // 50
HOUR = 3600 * SAMPLE_RATE

frames = st.lists(st.tuples(st.integers(-HOUR, 3 * HOUR), st.integers(1, 5000)), max_size=60)


def silences(stamps: list[int], longest_hole: int = HOUR) -> list[int]:
    """What is added before each of a row of packets with these stamps."""
    timeline = Timeline(longest_hole, HOUR)
    return [timeline.silence_before(stamp, PACKET) for stamp in stamps]


@given(frames=frames, longest_hole=st.integers(0, HOUR))
def test_whatever_the_clock_says_sound_is_kept_and_no_hole_is_longer_than_may_be(
    frames: list[tuple[int, int]], longest_hole: int
) -> None:
    timeline = Timeline(longest_hole, HOUR)
    position = 0
    for stamp, n_samples in frames:
        silence = timeline.silence_before(stamp, n_samples)
        assert 0 <= silence <= longest_hole
        assert silence == 0 or position + silence <= HOUR
        position += silence + n_samples
        assert timeline.position == position


@given(start=st.integers(0, HOUR // 2), jitter=st.lists(st.integers(-TOLERANCE // 2, TOLERANCE // 2), max_size=50))
def test_a_clock_that_only_jitters_adds_nothing_after_the_beginning(start: int, jitter: list[int]) -> None:
    stamps = [start, *(start + (n + 1) * PACKET + noise for n, noise in enumerate(jitter))]
    assert silences(stamps) == [start] + [0] * len(jitter)


@given(packets=st.integers(1, 50), hole=st.integers(TOLERANCE + 1, HOUR // 2))
def test_a_hole_is_silence_of_its_length_to_the_sample(packets: int, hole: int) -> None:
    before = [n * PACKET for n in range(packets)]
    after = [hole + (packets + n) * PACKET for n in range(10)]
    assert silences(before + after) == [0] * packets + [hole] + [0] * 9


def test_a_hole_that_is_longer_than_a_format_s_may_be_is_a_clock_set_anew() -> None:
    stamps = [n * PACKET + (n >= 10) * 2 * SAMPLE_RATE for n in range(20)]
    assert silences(stamps, longest_hole=SAMPLE_RATE) == [0] * 20
    stamps += [(n + 20) * PACKET + 2 * SAMPLE_RATE + SAMPLE_RATE // 2 for n in range(5)]
    assert silences(stamps, longest_hole=SAMPLE_RATE)[20:] == [SAMPLE_RATE // 2, 0, 0, 0, 0]


@pytest.mark.parametrize("percent", [1, 10, 25])
def test_a_clock_that_runs_fast_is_followed_once_a_minute_and_no_more(percent: int) -> None:
    n_packets = 3 * CREEP_PERIOD // PACKET
    added = silences([n * PACKET * (100 + percent) // 100 for n in range(n_packets)])
    assert sum(map(bool, added)) <= 3
    assert max(added) <= 2 * TOLERANCE
