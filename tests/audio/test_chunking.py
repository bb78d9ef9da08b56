from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_core.audio.chunking import ChunkPolicy, Merger, merge
from asr_core.types import SAMPLE_RATE, Span

SECOND = SAMPLE_RATE


def seconds(*spans: tuple[float, float]) -> list[Span]:
    return [Span(round(start * SECOND), round(end * SECOND)) for start, end in spans]


@st.composite
def span_lists(draw: st.DrawFn, longest: int = 200) -> list[Span]:
    """Ordered, disjoint spans; neighbours may touch."""
    position, spans = 0, []
    lengths = st.tuples(st.integers(0, 60) | st.just(0), st.integers(1, longest) | st.integers(1, 10))
    for gap, length in draw(st.lists(lengths, max_size=30)):
        spans.append(Span(position + gap, position + gap + length))
        position += gap + length
    return spans


policies = st.tuples(st.integers(1, 50), st.integers(0, 30), st.integers(0, 30), st.integers(0, 20)).map(
    lambda n: ChunkPolicy(n[0], n[0] + n[1], n[0] + n[1] + n[2], n[3])
)


def scattered(window: Span) -> int:
    """A deterministic but otherwise arbitrary choice in the window, its ends included."""
    return window.start + hash(window) % (len(window) + 1)


@pytest.mark.parametrize(
    ("speech", "chunks"),
    [
        pytest.param([], [], id="silence makes no chunk"),
        pytest.param([(3, 4)], [(3, 4)], id="one phrase is one chunk"),
        pytest.param([(0, 7), (9, 15)], [(0, 15)], id="neighbours are joined across a pause"),
        pytest.param([(0, 16), (16.3, 17)], [(0, 16), (16.3, 17)], id="a chunk that is long enough ends at a pause"),
        pytest.param([(0, 16), (16.1, 17)], [(0, 17)], id="a gap that is no pause does not end a chunk"),
        pytest.param([(0, 14), (16, 23)], [(0, 14), (16, 23)], id="nothing is joined beyond the maximum"),
        pytest.param([(0, 14), (16, 22)], [(0, 22)], id="up to the maximum it is"),
        pytest.param([(0, 1), (2, 31)], [(0, 1), (2, 31)], id="speech up to the strict limit stays whole"),
        pytest.param([(0, 40)], [(0, 21.75), (21.75, 40)], id="longer speech is cut in the second half of the limit"),
        pytest.param(
            [(0, 31), (32, 40)], [(0, 21.75), (21.75, 40)], id="what a cut leaves is joined with what comes after"
        ),
        pytest.param([(0, 5), (6, 50)], [(0, 5), (6, 27.75), (27.75, 50)], id="what is cut was not joined before"),
    ],
)
def test_chunks_follow_gigaam_s_rule(speech: list[tuple[float, float]], chunks: list[tuple[float, float]]) -> None:
    assert list(merge(seconds(*speech), ChunkPolicy())) == seconds(*chunks)


def test_a_cut_is_made_at_the_quietest_place_in_the_second_half_of_the_limit() -> None:
    asked = []

    def quietest(window: Span) -> int:
        asked.append(window)
        return window.start + SECOND

    chunks = list(merge(seconds((2, 49)), ChunkPolicy(), quietest))
    assert asked == seconds((17, 30.5), (33, 45))
    assert chunks == seconds((2, 18), (18, 34), (34, 49))


@given(spans=span_lists(), policy=policies, arbitrary=st.booleans())
def test_every_speech_sample_is_in_one_chunk_and_no_chunk_is_too_long(
    spans: list[Span], policy: ChunkPolicy, arbitrary: bool
) -> None:
    chunks = list(merge(spans, policy, scattered if arbitrary else None))
    covered = [sample for chunk in chunks for sample in range(chunk.start, chunk.end)]
    assert len(covered) == len(set(covered))
    assert set(covered) >= {sample for span in spans for sample in range(span.start, span.end)}
    assert all(0 < len(chunk) <= policy.strict_limit for chunk in chunks)
    assert all(before.end <= after.start for before, after in pairwise(chunks))


@given(spans=span_lists(), policy=policies, arbitrary=st.booleans())
def test_the_limit_leaves_room_for_what_the_sides_of_a_cut_hear_of_each_other(
    spans: list[Span], policy: ChunkPolicy, arbitrary: bool
) -> None:
    chunks = list(merge(spans, policy, scattered if arbitrary else None))
    edges = {span.end for span in spans}
    for before, chunk in pairwise([Span(0, 0), *chunks]):
        heard = len(chunk)
        heard += policy.overlap if before.end == chunk.start > 0 else 0
        heard += policy.overlap if chunk.end not in edges else 0
        assert heard <= policy.strict_limit


@given(spans=span_lists(), policy=policies)
def test_chunks_begin_and_end_with_speech(spans: list[Span], policy: ChunkPolicy) -> None:
    edges = {span.start for span in spans} | {span.end for span in spans}
    for chunk in merge(spans, policy):
        inside = any(span.start < edge < span.end for span in spans for edge in (chunk.start, chunk.end))
        assert inside or {chunk.start, chunk.end} <= edges


@given(spans=span_lists(), policy=policies, data=st.data())
def test_chunks_do_not_depend_on_how_early_speech_is_announced(
    spans: list[Span], policy: ChunkPolicy, data: st.DataObject
) -> None:
    merger, chunks, before = Merger(policy, scattered), [], 0
    for span in spans:
        for now in sorted(data.draw(st.lists(st.integers(before, span.start), max_size=3))):
            chunks += merger.advance(now)
        for known_end in sorted(data.draw(st.lists(st.integers(span.start, span.end), max_size=3))):
            needed = merger.needed_from(span.start)
            grown = merger.extend(Span(span.start, known_end))
            assert all(chunk.start >= needed for chunk in grown)
            chunks += grown
        chunks += merger.push(span)
        before = span.end
    assert chunks + merger.flush() == list(merge(spans, policy, scattered))


@settings(max_examples=50)
@given(policy=policies, start=st.integers(0, 1000), end=st.integers(1001, 1400))
def test_hours_of_silence_or_of_speech_hold_back_no_more_than_the_limits(
    policy: ChunkPolicy, start: int, end: int
) -> None:
    merger = Merger(policy)
    for now in range(start, end):
        merger.extend(Span(start, now))
        assert now - merger.needed_from(start) <= policy.strict_limit
    merger.push(Span(start, end))
    merger.advance(end + policy.max_duration)
    assert merger.needed_from(end + policy.max_duration) == end + policy.max_duration


def test_seconds_become_whole_samples() -> None:
    policy = ChunkPolicy.from_seconds(min_duration=15, max_duration=22, strict_limit=30, new_chunk_threshold=0.2)
    assert policy == ChunkPolicy()
    assert (policy.min_duration, policy.new_chunk_threshold) == (240_000, 3_200)


@pytest.mark.parametrize("numbers", [(0, 22, 30, 0), (23, 22, 30, 0), (15, 31, 30, 0), (15, 22, 30, -1)])
def test_durations_out_of_order_are_refused(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        ChunkPolicy(*numbers)
