"""Words get speakers, and segments end where the speaker changes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.speakers.held import HeldSegments, Times
from asr_core.speakers.turns import Heard, split, who_says
from asr_core.speakers.windows import windows
from asr_core.text.words import segments, spoken_words
from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Chunk, Hypothesis, Pcm, Segment, Span, Token

WINDOW = 16 * SAMPLE_RATE // 10


def chunk(seconds: float, speech: list[tuple[float, float]]) -> Chunk:
    """Speech from second to second."""
    n_windows = -(-round(seconds * SAMPLE_RATE) // VAD_WINDOW)
    times = np.arange(n_windows) * VAD_WINDOW / SAMPLE_RATE
    probabilities = np.zeros(n_windows, np.float32)
    for start, end in speech:
        probabilities[(times >= start) & (times < end)] = 0.9
    length = round(seconds * SAMPLE_RATE)
    return Chunk(0, Span(0, length), np.arange(length).astype(np.int16), probabilities)


def test_windows_half_overlap_and_none_reaches_over_a_pause() -> None:
    found = windows(chunk(8, [(0, 4), (4.5, 5)]), WINDOW)
    assert [round(span.start_s, 1) for span in found.spans] == [0, 0.8, 1.6, 2.4, 4.5]
    assert all(span.end_s <= 4.1 or span.start_s >= 4.4 for span in found.spans)
    assert len(found.spans) == len(found.starts)
    assert max(found.starts) + WINDOW <= len(found.sound)
    for start, span in zip(found.starts, found.spans, strict=True):
        np.testing.assert_array_equal(found.sound[start : start + len(span)], samples(span))


def test_a_short_stretch_is_heard_with_what_is_near_to_it_and_tells_of_itself_alone() -> None:
    found = windows(chunk(8, [(0, 2), (2.2, 2.7), (5, 5.5)]), WINDOW)
    assert [round(span.start_s, 1) for span in found.spans] == [0, 0.4, 2.2, 5.0]
    _, before, short, alone = found.spans
    missing = WINDOW - len(short)
    near = np.concatenate((samples(Span(before.end - missing, before.end)), samples(short)))
    np.testing.assert_array_equal(found.sound[found.starts[2] :][:WINDOW], near)
    np.testing.assert_array_equal(found.sound[found.starts[3] :][:WINDOW], np.resize(samples(alone), WINDOW))
    assert found.shares == [1, 1, 1, len(alone) / WINDOW]


def samples(span: Span) -> Pcm:
    return np.arange(span.start, span.end).astype(np.int16)


@pytest.mark.parametrize("speech", [[], [(1.0, 1.1)]])
def test_hardly_any_speech_has_no_windows(speech: list[tuple[float, float]]) -> None:
    assert windows(chunk(3, speech), WINDOW).spans == []


def words(times: list[tuple[float, float]]) -> Times:
    return np.array(times, np.float64).reshape(-1, 2)


def heard(*speakers: tuple[float, int]) -> Heard:
    """Windows at seconds, each like one of two speakers."""
    starts = np.array([round(at * SAMPLE_RATE) for at, _ in speakers])
    edges = np.stack((starts, starts + WINDOW), axis=1)
    return Heard(edges, np.array([[0.75, 0.45] if who == 0 else [0.45, 0.75] for _, who in speakers], np.float32))


def test_words_are_said_by_whom_they_sound_like() -> None:
    spoken = words([(n / 2, n / 2 + 0.4) for n in range(12)])
    windows_of_both = heard(*((at, 0) for at in (0.0, 0.7, 1.4)), *((at, 1) for at in (3.0, 3.7, 4.4)))
    assert who_says(spoken, windows_of_both) == [0] * 6 + [1] * 6


def test_one_window_that_sounds_a_little_different_is_no_change_of_speaker() -> None:
    spoken = words([(n / 2, n / 2 + 0.45) for n in range(12)])
    found = heard(*((at * 0.8, 0) for at in range(7)))
    found.likeness[3] = [0.6, 0.65]
    assert who_says(spoken, found) == [0] * 12


def test_nobody_knows_who_says_nothing() -> None:
    assert who_says(words([]), heard((0, 0))) == []
    assert who_says(words([(50, 51)]), heard((0, 1))) == [0]


TOKENS = st.lists(st.sampled_from([" да", " не", "т", " ", "о", " раз"]), min_size=1, max_size=30)


@given(texts=TOKENS, n_first=st.integers(0, 3))
def test_segments_that_wait_come_out_as_they_were(texts: list[str], n_first: int) -> None:
    tokens = tuple(Token(text, frame, -0.1 * frame) for frame, text in enumerate(texts))
    of = chunk(len(texts) * 0.2, [])
    whole = segments(of, spoken_words(Hypothesis(tokens, len(tokens)), of.heard), 0)
    held = HeldSegments()
    for part in (whole[:n_first], whole[n_first:]):
        held.add(part)
    assert list(held) == whole
    times = [(word.start_s, word.end_s) for segment in whole for word in segment.words]
    assert held.times.tolist() == [list(pair) for pair in times]


@given(texts=TOKENS, speakers=st.lists(st.sampled_from("AB"), min_size=30, max_size=30))
def test_splitting_changes_no_word_no_time_and_no_token(texts: list[str], speakers: list[str]) -> None:
    tokens = tuple(Token(text, frame, -0.1 * (frame % 3)) for frame, text in enumerate(texts))
    hypothesis, of = Hypothesis(tokens, len(tokens)), chunk(len(texts) * 0.2, [])
    whole = segments(of, spoken_words(hypothesis, of.heard), 0)
    n_words = sum(len(segment.words) for segment in whole)
    parts: list[Segment] = list(split(whole, speakers[:n_words]))
    assert [word for part in parts for word in part.words] == [word for segment in whole for word in segment.words]
    assert " ".join(part.text for part in parts) == " ".join(segment.text for segment in whole)
    assert [part.index for part in parts] == list(range(len(parts)))
    assert [part.speaker for part in parts for _ in part.words] == speakers[:n_words]
    for part in parts:
        assert "".join(token.text for token in part.tokens) == part.text
        assert (part.start_s, part.end_s) == (part.words[0].start_s, part.words[-1].end_s)
    assert all(before.end_s <= after.start_s for before, after in pairwise(parts))
