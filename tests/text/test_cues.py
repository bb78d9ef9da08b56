"""Subtitles that can be read: how long they stay, what is shown together, in which lines."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.text.cues import Cue, CueLayout, TimedWord, cues
from asr_core.types import Segment, Transcript, Word
from tests.text.strategies import layouts, transcripts

USUAL = CueLayout(42, 2)


def phrase(index: int, *words: tuple[str, float, float]) -> Segment:
    spoken = tuple(Word(text, start, end, 0.9) for text, start, end in words)
    text = " ".join(word.text for word in spoken)
    return Segment(index, spoken[0].start_s, spoken[-1].end_s, text, spoken, (), -0.1, 0.1)


def shown(*phrases: list[tuple[str, float, float]], layout: CueLayout = USUAL, duration_s: float = 60.0) -> list[Cue]:
    segments = tuple(phrase(index, *words) for index, words in enumerate(phrases))
    return list(cues(Transcript(segments, duration_s), layout))


def steadily(text: str, start: float, word_s: float = 0.3) -> list[tuple[str, float, float]]:
    """The words of `text`, one after the other without a pause."""
    return [(word, start + n * word_s, start + (n + 1) * word_s) for n, word in enumerate(text.split())]


def texts(found: list[Cue]) -> list[str]:
    return [" ".join(cue.lines) for cue in found]


def words_of(transcript: Transcript) -> list[Word]:
    return [word for segment in transcript.segments for word in segment.words]


@given(transcripts(), layouts)
def test_the_cues_hold_every_word_in_order_and_nothing_else(transcript: Transcript, layout: CueLayout) -> None:
    assert " ".join(texts(list(cues(transcript, layout)))) == transcript.text


@given(transcripts(), layouts)
def test_no_cue_overlaps_another_or_is_without_length(transcript: Transcript, layout: CueLayout) -> None:
    found = list(cues(transcript, layout))
    assert all(cue.start_ms < cue.end_ms for cue in found)
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(found))


@given(transcripts(), layouts)
def test_a_cue_is_there_while_its_words_are_spoken(transcript: Transcript, layout: CueLayout) -> None:
    found, words = list(cues(transcript, layout)), iter(words_of(transcript))
    for cue in found:
        mine = [next(words) for line in cue.lines for _ in line.split()]
        slack = 0.51 + len(found)  # words without length are given a millisecond each
        assert cue.start_ms == pytest.approx(mine[0].start_s * 1000, abs=slack)
        assert cue.end_ms >= mine[-1].end_s * 1000 - slack


@given(transcripts(), layouts)
def test_a_cue_keeps_to_its_layout_unless_a_word_is_longer_than_a_line(
    transcript: Transcript, layout: CueLayout
) -> None:
    for cue in cues(transcript, layout):
        assert 1 <= len(cue.lines) <= layout.max_line_count
        assert all(len(line) <= layout.max_line_width or " " not in line for line in cue.lines)


@given(transcripts(), layouts)
def test_a_cue_stays_for_a_second_or_until_a_tenth_before_the_next(transcript: Transcript, layout: CueLayout) -> None:
    for cue, following in pairwise(cues(transcript, layout)):
        assert cue.end_ms - cue.start_ms >= 1000 or following.start_ms - cue.end_ms <= 100


@given(transcripts(), layouts)
def test_a_cue_stays_for_as_long_as_it_takes_to_read_if_there_is_silence(
    transcript: Transcript, layout: CueLayout
) -> None:
    for cue, following in pairwise(cues(transcript, layout)):
        pace = sum(map(len, cue.lines)) * 1000 / (cue.end_ms - cue.start_ms)
        assert pace <= 17.1 or cue.end_ms - cue.start_ms >= 7000 or following.start_ms - cue.end_ms <= 100


@given(transcripts())
def test_a_cue_of_several_words_lasts_seven_seconds_at_most(transcript: Transcript) -> None:
    for cue in cues(transcript, USUAL):
        if len(" ".join(cue.lines).split()) > 1:
            assert cue.end_ms - cue.start_ms <= 7001


@given(st.lists(st.tuples(st.text("абв", min_size=1, max_size=30), st.floats(0, 1), st.floats(0, 1)), max_size=12))
def test_a_word_alone_has_no_neighbour_that_it_could_join(spoken: list[tuple[str, float, float]]) -> None:
    phrases: list[Segment] = []
    clock = 0.0
    for text, pause, length in spoken:
        phrases.append(phrase(len(phrases), (text, clock + pause, clock + pause + length)))
        clock += pause + length
    words, groups = map(TimedWord.of, words_of(Transcript(tuple(phrases), clock))), []
    for cue in cues(Transcript(tuple(phrases), clock), USUAL):
        groups.append([next(words) for line in cue.lines for _ in line.split()])
    for before, after in pairwise(groups):
        if len(before) == 1 or len(after) == 1:
            assert after[0].start_ms - before[-1].end_ms >= 600 or not USUAL.fits([*before, *after])


def test_one_word_answers_stay_for_a_second_each() -> None:
    answers = [[(word, n * 1.3, n * 1.3 + 0.24)] for n, word in enumerate(["да", "нет", "я", "он", "так", "три"])]
    found = shown(*answers)
    assert texts(found) == ["да", "нет", "я", "он", "так", "три"]
    assert [cue.end_ms - cue.start_ms for cue in found] == [1000] * 6


def test_a_cue_leaves_a_tenth_of_a_second_before_the_next_one_but_never_its_own_words() -> None:
    first, second, _ = shown([("да", 0, 0.2)], [("нет", 0.9, 1.55)], [("я", 2.2, 3.0)])
    assert (first.start_ms, first.end_ms) == (0, 800)
    assert (second.start_ms, second.end_ms) == (900, 1900)
    first, second = shown(steadily("одно за другим", 0.0), steadily("без всякой паузы", 0.9))
    assert (first.end_ms, second.start_ms) == (900, 900)


def test_a_long_cue_stays_for_its_reader_into_the_silence_and_the_last_into_that_at_the_end() -> None:
    hasty = steadily("Тридцать четыре буквы произносятся", 0.0, word_s=0.1)
    (cue,) = shown(hasty)
    assert cue.end_ms == 34 * 1000 // 17 == 2000
    (cue,) = shown(hasty, duration_s=1.5)
    assert cue.end_ms == 1500
    (cue,) = shown(hasty, duration_s=0.4)
    assert cue.end_ms == 1000


def test_text_is_set_in_as_few_lines_as_it_needs_and_those_are_even() -> None:
    (cue,) = shown(steadily("Счастлив уж я надеждой сладкой, что дева с трепетом любви", 0.0))
    assert cue.lines == ("Счастлив уж я надеждой сладкой,", "что дева с трепетом любви")
    (cue,) = shown(steadily("Счастлив уж я надеждой сладкой", 0.0))
    assert cue.lines == ("Счастлив уж я надеждой сладкой",)


def test_a_phrase_that_fits_no_cue_is_parted_near_its_middle_at_a_comma_or_in_a_pause() -> None:
    line = CueLayout(max_line_width=42, max_line_count=1)
    found = shown(steadily("Посмотрит, может быть, украдкой на песни грешные мои", 0.0), layout=line)
    assert texts(found) == ["Посмотрит, может быть,", "украдкой на песни грешные мои"]
    with_comma = steadily("Ничьих не требуя похвал, счастлив уж я надеждой", 0.0)
    assert texts(shown(with_comma, layout=line)) == ["Ничьих не требуя похвал,", "счастлив уж я надеждой"]
    with_pause = [*steadily("раз два три четыре пять", 0.0), *steadily("шесть семь восемь девять", 2.0)]
    assert texts(shown(with_pause, layout=line)) == ["раз два три четыре пять", "шесть семь восемь девять"]


@pytest.mark.parametrize(("pause", "expected"), [(0.55, ["Да. Он ушёл домой."]), (0.65, ["Да.", "Он ушёл домой."])])
def test_a_word_alone_joins_the_phrase_after_it_over_a_short_pause(pause: float, expected: list[str]) -> None:
    assert texts(shown([("Да.", 0, 0.4)], steadily("Он ушёл домой.", 0.4 + pause))) == expected


@pytest.mark.parametrize(("pause", "expected"), [(0.55, ["Он ушёл. Да."]), (0.65, ["Он ушёл.", "Да."])])
def test_a_word_alone_joins_the_phrase_before_it_over_a_short_pause(pause: float, expected: list[str]) -> None:
    assert texts(shown(steadily("Он ушёл.", 0.0), [("Да.", 0.6 + pause, 1.0 + pause)])) == expected


def test_the_last_word_of_a_sentence_that_filled_a_phrase_takes_half_of_it_along() -> None:
    full = "одно второе третье четвёртое пятое шестое седьмое восьмое девятое десятое двенадцать"
    assert len(full) == 84
    first, second = texts(shown(steadily(full, 0.0), steadily("тринадцать", 11 * 0.3)))
    assert first + " " + second == full + " тринадцать"
    assert abs(len(first) - len(second)) < 20


def test_a_word_longer_than_a_line_has_one_to_itself() -> None:
    long = "ы" * 60
    (cue,) = shown(steadily(f"вот {long}", 0.0))
    assert cue.lines == ("вот", long)
