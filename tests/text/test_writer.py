from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.text.writer import Writer
from asr_core.types import SAMPLE_RATE, Chunk, Hypothesis, Segment, Span, Token
from tests.text.strategies import absurd_hypotheses, plausible_hypotheses, segments

FRAME = SAMPLE_RATE // 25
Said = Sequence[tuple[str, float, float]]
"""Words with start and end in the recording's seconds."""

CUT = 20.0
BEFORE = Chunk(
    0, Span(0, 20 * SAMPLE_RATE), np.zeros(0, np.int16), np.ones(0, np.float32), 0, 3 * SAMPLE_RATE // 2, goes_on=True
)
AFTER = Chunk(
    1, Span(20 * SAMPLE_RATE, 40 * SAMPLE_RATE), np.zeros(0, np.int16), np.ones(0, np.float32), 3 * SAMPLE_RATE // 2, 0
)


def hypothesis_of(chunk: Chunk, said: Said, log_prob: float = -0.1) -> Hypothesis:
    """What a model that writes a token at the first and the last frame of each word heard in `chunk`."""
    tokens = []
    for text, start, end in said:
        first, last = (round((second - chunk.heard.start_s) / 0.04) for second in (start, end))
        tokens += [Token(" " + text[:1], first, log_prob), Token(text[1:], max(first, last - 1), log_prob)]
    return Hypothesis(tuple(tokens), len(chunk.heard) // FRAME)


def written(before: Said, after: Said, log_probs: tuple[float, float] = (-0.1, -0.1)) -> str:
    writer = Writer()
    assert writer.write(BEFORE, hypothesis_of(BEFORE, before, log_probs[0])) == []
    return text(writer.write(AFTER, hypothesis_of(AFTER, after, log_probs[1])))


def text(found: list[Segment]) -> str:
    return " ".join(segment.text for segment in found)


@pytest.mark.parametrize(
    ("before", "after", "joined"),
    [
        pytest.param(
            [("раз", 18, 18.4), ("два", 19.2, 19.6), ("три", 20.2, 20.6)],
            [("два", 19.2, 19.6), ("три", 20.2, 20.6), ("пять", 22, 22.5)],
            "раз два три пять",
            id="what both have heard is written once",
        ),
        pytest.param(
            [("раз", 18, 18.4), ("ночью", 19.8, 20.2), ("снег", 20.6, 21)],
            [("ночью", 19.88, 20.28), ("снег", 20.68, 21.08)],
            "раз ночью снег",
            id="a word across the cut, whose times differ",
        ),
        pytest.param(
            [("раз", 18, 18.4), ("два", 19.2, 19.6)],
            [("три", 20.2, 20.6), ("пять", 22, 22.5)],
            "раз два три пять",
            id="nothing in common: each has its own",
        ),
        pytest.param(
            [("раз", 19, 19.4), ("Ночью,", 19.8, 20.2)],
            [("ночью", 19.8, 20.2), ("снег", 20.6, 21)],
            "раз Ночью, снег",
            id="capitals and punctuation are no difference",
        ),
        pytest.param(
            [("да", 18.2, 18.5), ("да", 19.2, 19.5), ("да", 20.2, 20.5)],
            [("да", 19.2, 19.5), ("да", 20.2, 20.5), ("да", 21.2, 21.5)],
            "да да да да",
            id="a word said several times stays so",
        ),
        pytest.param([("раз", 18, 18.4)], [], "раз", id="the second hears nothing"),
        pytest.param([], [("раз", 22, 22.4)], "раз", id="the first hears nothing"),
    ],
)
def test_a_cut_loses_no_word_and_doubles_none(before: Said, after: Said, joined: str) -> None:
    assert written(before, after) == joined


def test_of_a_word_across_the_cut_that_is_heard_in_two_ways_the_likelier_counts() -> None:
    before, after = [("раз", 18, 18.4), ("мочью", 19.8, 20.2)], [("ночью", 19.8, 20.2), ("снег", 20.6, 21)]
    assert written(before, after, (-0.9, -0.1)) == "раз ночью снег"
    assert written(before, after, (-0.1, -0.9)) == "раз мочью снег"


@given(st.lists(st.sampled_from(["да", "нет", "ночью", "снег", "и"]), min_size=12, max_size=12), st.data())
def test_sides_that_hear_the_same_words_a_little_apart_give_the_words_as_they_were_said(
    words: list[str], data: st.DataObject
) -> None:
    said = [(word, 17 + 0.5 * index, 17.3 + 0.5 * index) for index, word in enumerate(words)]
    shift = data.draw(st.sampled_from([-0.08, 0.0, 0.04]))
    before = [word for word in said if word[2] <= 21.5]
    after = [(word, start + shift, end + shift) for word, start, end in said if start >= 18.6]
    assert written(before, after) == " ".join(words)


@given(first=plausible_hypotheses() | absurd_hypotheses(), second=plausible_hypotheses() | absurd_hypotheses())
def test_whatever_is_heard_at_a_cut_times_never_go_backwards_and_numbers_go_up(
    first: Hypothesis, second: Hypothesis
) -> None:
    writer = Writer()
    found = writer.write(BEFORE, first) + writer.write(AFTER, second)
    assert [segment.index for segment in found] == list(range(len(found)))
    times = [time for segment in found for word in segment.words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert all(0 <= time <= 40 for time in times)


@given(plausible_hypotheses())
def test_a_chunk_with_nothing_across_its_edges_is_written_as_it_is(heard: Hypothesis) -> None:
    chunk = Chunk(0, Span(0, 20 * SAMPLE_RATE), np.zeros(0, np.int16), np.ones(0, np.float32), 0, 0)
    assert Writer().write(chunk, heard) == segments(chunk, heard, 0)


@pytest.mark.parametrize(("log_prob", "counts"), [(-0.1, True), (-0.9, False)])
def test_where_the_vad_hears_nobody_only_likely_words_count(log_prob: float, counts: bool) -> None:
    chunk = Chunk(
        *(0, Span(0, 20 * SAMPLE_RATE), np.zeros(0, np.int16), np.ones(0, np.float32)),
        doubtful=(Span(5 * SAMPLE_RATE, 15 * SAMPLE_RATE),),
    )
    said = [("раз", 2, 2.5), ("два", 8, 8.5), ("три", 9, 9.5), ("пять", 17, 17.5)]
    heard = text(Writer().write(chunk, hypothesis_of(chunk, said, log_prob)))
    assert heard == ("раз два три пять" if counts else "раз пять")


def test_words_far_from_any_voice_do_not_count_however_sure_the_model_is_of_them() -> None:
    chunk = Chunk(
        *(0, Span(0, 20 * SAMPLE_RATE), np.zeros(0, np.int16), np.ones(0, np.float32)),
        unspoken=(Span(5 * SAMPLE_RATE, 15 * SAMPLE_RATE),),
    )
    said = [("раз", 2, 2.5), ("два", 4.8, 5.3), ("да", 8, 8.4), ("та", 9, 9.4), ("три", 14.8, 15.3), ("пять", 17, 17.5)]
    assert text(Writer().write(chunk, hypothesis_of(chunk, said, -0.01))) == "раз два три пять"
