from __future__ import annotations

import json
import math
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asr_core.text.words import MIN_LOG_PROB, sentence_ends
from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Chunk, Hypothesis, Segment, Token, Word
from tests.text.strategies import absurd_hypotheses, chunk_at, chunks, plausible_hypotheses, segments

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden_words.json").read_text("utf-8"))
GOLDEN_SAMPLES = 180_640
FRAME_S = 0.04
SAMPLE_S = 1 / SAMPLE_RATE


def spoken(*words: tuple[str, float, float], seconds: float = 30.0) -> list[Segment]:
    """Segments of a chunk at 0 in which each word is one token pair spanning start..end seconds, at 40 ms a frame."""
    tokens: list[Token] = []
    for text, start, end in words:
        tokens.append(Token(" " + text[:1], round(start / FRAME_S), -0.1))
        tokens.append(Token(text[1:], round(end / FRAME_S) - 1, -0.1))
    return segments(
        chunk_at(0, round(seconds * SAMPLE_RATE)), Hypothesis(tuple(tokens), round(seconds / FRAME_S)), first_index=0
    )


def texts(found: list[Segment]) -> list[str]:
    return [segment.text for segment in found]


def words_of(found: list[Segment]) -> list[Word]:
    return [word for segment in found for word in segment.words]


@given(chunks(), plausible_hypotheses() | absurd_hypotheses())
def test_the_segments_texts_joined_by_single_spaces_are_the_hypothesis(chunk: Chunk, heard: Hypothesis) -> None:
    assert " ".join(texts(segments(chunk, heard, 0))) == heard.text


@given(chunks(), plausible_hypotheses() | absurd_hypotheses(), st.integers(0, 10_000))
def test_a_segment_is_numbered_and_spelled_by_its_words_and_by_its_tokens(
    chunk: Chunk, heard: Hypothesis, first_index: int
) -> None:
    found = segments(chunk, heard, first_index)
    assert [segment.index for segment in found] == list(range(first_index, first_index + len(found)))
    for segment in found:
        assert segment.text == " ".join(word.text for word in segment.words)
        assert segment.text == "".join(token.text for token in segment.tokens)
        assert segment.text == " ".join(segment.text.split()) != ""


@given(chunks(), plausible_hypotheses() | absurd_hypotheses())
def test_times_never_go_backwards_overlap_or_leave_the_chunk(chunk: Chunk, heard: Hypothesis) -> None:
    found = segments(chunk, heard, 0)
    times = [chunk.span.start_s]
    for word in words_of(found):
        times += [word.start_s, word.end_s]
    times.append(chunk.span.end_s)
    assert times == sorted(times)
    for segment in found:
        assert (segment.start_s, segment.end_s) == (segment.words[0].start_s, segment.words[-1].end_s)


@given(chunks(), plausible_hypotheses() | absurd_hypotheses())
def test_every_figure_is_finite_and_in_range(chunk: Chunk, heard: Hypothesis) -> None:
    for segment in segments(chunk, heard, 0):
        assert MIN_LOG_PROB <= segment.avg_logprob <= 0
        assert segment.avg_logprob == fmean(token.log_prob for token in segment.tokens)
        assert 0 <= segment.no_speech_prob <= 1
        assert all(0 <= word.probability <= 1 for word in segment.words)


@given(chunks(), plausible_hypotheses())
def test_a_word_spans_its_tokens_frames(chunk: Chunk, heard: Hypothesis) -> None:
    shift = len(chunk.span) / SAMPLE_RATE / heard.n_frames
    frames: list[int] = []  # of each character of the text, one for each character that is no whitespace
    for token in heard.tokens:
        frames += [token.frame] * len("".join(token.text.split()))
    for word in words_of(segments(chunk, heard, 0)):
        mine, frames = frames[: len(word.text)], frames[len(word.text) :]
        end = chunk.span.start_s + (mine[-1] + 1) * shift
        assert word.end_s == pytest.approx(end, abs=1.1 * SAMPLE_S)
        assert chunk.span.start_s + mine[0] * shift - 1.1 * SAMPLE_S <= word.start_s
        assert word.start_s <= chunk.span.start_s + (mine[0] + 1) * shift + 1.1 * SAMPLE_S
    assert not frames


@given(plausible_hypotheses())
def test_a_phrase_keeps_to_its_limits_and_ends_only_for_a_reason(heard: Hypothesis) -> None:
    found = segments(chunk_at(0, heard.n_frames * 640), heard, 0)
    slack = 1e-6
    for segment in found:
        if len(segment.words) > 1:
            assert len(segment.text) <= 84
            assert segment.end_s - segment.start_s <= 7 + slack
        for word, following in pairwise(segment.words):
            assert following.start_s - word.end_s < 0.6 - slack
            assert not sentence_ends(word.text, following.text)
    for before, after in pairwise(found):
        word, following = before.words[-1], after.words[0]
        assert (
            following.start_s - word.end_s >= 0.6 - slack
            or len(f"{before.text} {following.text}") > 84
            or following.end_s - before.start_s > 7 - slack
            or sentence_ends(word.text, following.text)
        )


def letters_at_frames(words: list[tuple[str, float, float]]) -> list[Token]:
    """Characters as a CTC model emits them: spread over the word, with a space of its own in the frame after it."""
    tokens: list[Token] = []
    for text, start, end in words:
        first, last = round(start / FRAME_S), round(end / FRAME_S) - 1
        if tokens:
            tokens.append(Token(" ", tokens[-1].frame + 1, -0.5))
        for place, letter in enumerate(text):
            tokens.append(Token(letter, first + (last - first) * place // max(1, len(text) - 1), -0.1))
    return tokens


def pieces_at_frames(words: list[tuple[str, float, float]]) -> list[Token]:
    """SentencePiece tokens: a word is one piece or two, the space is in the first."""
    tokens: list[Token] = []
    for text, start, end in words:
        first, last = round(start / FRAME_S), round(end / FRAME_S) - 1
        cut = len(text) if first == last else len(text) // 2
        tokens.append(Token(" " + text[:cut], first, -0.1))
        if text[cut:]:
            tokens.append(Token(text[cut:], last, -0.1))
    return tokens


@pytest.mark.parametrize(
    ("model", "tokens_of"), [("v3_ctc", letters_at_frames), ("v3_e2e_rnnt", pieces_at_frames)], ids=["ctc", "e2e_rnnt"]
)
def test_the_official_samples_words_and_times_are_found_from_its_tokens(model: str, tokens_of: Any) -> None:
    heard = Hypothesis(tuple(tokens_of(GOLDEN[model]["words"])), n_frames=282)
    found = segments(chunk_at(0, GOLDEN_SAMPLES), heard, 0)
    assert " ".join(texts(found)) == GOLDEN[model]["text"]
    for word, (text, start, end) in zip(words_of(found), GOLDEN[model]["words"], strict=True):
        assert word.text == text
        assert word.start_s == pytest.approx(start, abs=0.05)
        assert word.end_s == pytest.approx(end, abs=0.05)


def test_the_official_sample_reads_as_verses() -> None:
    heard = Hypothesis(tuple(pieces_at_frames(GOLDEN["v3_e2e_rnnt"]["words"])), n_frames=282)
    assert texts(segments(chunk_at(0, GOLDEN_SAMPLES), heard, 0)) == [
        "Ничьих не требуя похвал, Счастлив уж я надеждой сладкой, Что дева с трепетом любви",
        "Посмотрит, может быть, украдкой На песни грешные мои.",
        "У лукоморья дуб зелёный.",
    ]


def test_a_pause_of_six_tenths_of_a_second_begins_a_phrase() -> None:
    assert texts(spoken(("раз", 0.0, 0.4), ("два", 1.0, 1.4))) == ["раз", "два"]
    assert texts(spoken(("раз", 0.0, 0.4), ("два", 0.96, 1.4))) == ["раз два"]


def test_a_phrase_holds_eighty_four_characters_and_no_more() -> None:
    assert texts(spoken(("а" * 40, 0, 1), ("б" * 43, 1, 2))) == ["а" * 40 + " " + "б" * 43]
    assert texts(spoken(("а" * 40, 0, 1), ("б" * 44, 1, 2))) == ["а" * 40, "б" * 44]


def test_a_phrase_lasts_seven_seconds_and_no_longer() -> None:
    steady = [(f"слово{n}", n * 1.0, n * 1.0 + 1.0) for n in range(9)]
    assert [len(segment.words) for segment in spoken(*steady)] == [7, 2]


def test_a_word_beyond_the_limits_is_a_phrase_alone() -> None:
    long = "ы" * 100
    assert texts(spoken(("вот", 0, 0.4), (long, 0.4, 1.0), ("так", 1.0, 1.4))) == ["вот", long, "так"]
    assert texts(spoken(("вот", 0, 0.4), ("тя-а-анет", 0.4, 9.4), ("так", 9.4, 9.8))) == ["вот", "тя-а-анет", "так"]


@pytest.mark.parametrize(
    ("word", "following"),
    [
        ("Да.", "Нет."),
        ("Да!", "Нет."),
        ("Кто?", "Я."),
        ("Ну…", "Ладно"),
        ("Ну...", "Ладно"),
        ("дом.»", "Он"),
        ("(так!)", "Он"),
        ('да."', "«Нет»"),
        ("Что?!", "— Ничего"),
        ("да.", "5"),
    ],
)
def test_a_sentence_ends_at_its_mark_whatever_closes_after_it(word: str, following: str) -> None:
    assert sentence_ends(word, following)


@pytest.mark.parametrize(
    ("word", "following"),
    [
        ("да,", "Нет"),
        ("да", "Нет"),
        ("3.5", "Метра"),
        ("т.", "е."),
        ("е.", "Москва"),
        ("т.е.", "Москва"),
        ("А.", "С."),
        ("«А.", "Пушкин"),
        ("г.", "Казань"),
        ("ул.", "ленина"),
        ("«Кто?»", "спросил"),
        ("Ну…", "«ладно»"),
    ],
)
def test_a_sentence_goes_on_after_abbreviations_numbers_and_before_small_letters(word: str, following: str) -> None:
    assert not sentence_ends(word, following)


def test_a_models_own_space_token_stays_itself_between_words_and_goes_between_segments() -> None:
    tokens = (Token("а", 0, -0.1), Token(" ", 1, -0.7), Token("б", 2, -0.1), Token(" ", 3, -0.7), Token("в", 40, -0.1))
    first, second = segments(chunk_at(0, 100 * 640), Hypothesis(tokens, 100), 0)
    assert first.tokens == tokens[:3]
    assert first.avg_logprob == pytest.approx(-0.3)
    assert second.tokens == tokens[4:]


def test_doubled_and_trailing_spaces_leave_one_space_between_words() -> None:
    tokens = (Token("  ", 0, -1), Token(" При", 1, -1), Token("вет ", 2, -1), Token(" ", 3, -1), Token(" мир ", 4, -1))
    (segment,) = segments(chunk_at(0, 100 * 640), Hypothesis(tokens, 100), 0)
    assert [token.text for token in segment.tokens] == ["При", "вет", " мир"]
    assert [token.frame for token in segment.tokens] == [1, 2, 4]


def test_words_in_one_frame_share_it_in_order() -> None:
    tokens = (Token(" во", 9, -0.1), Token("т", 10, -0.1), Token(" и", 10, -0.1), Token(" я", 10, -0.1))
    found = words_of(segments(chunk_at(0, 100 * 600), Hypothesis((*tokens, Token("сно", 12, -0.1)), 100), 0))
    times = [(word.start_s * SAMPLE_RATE, word.end_s * SAMPLE_RATE) for word in found]
    assert times == [(9 * 600, 10 * 600 + 200), (10 * 600 + 200, 10 * 600 + 400), (10 * 600 + 400, 13 * 600)]


@given(chunks(), st.lists(st.tuples(st.sampled_from([0, 0, 1, 3]), st.booleans()), min_size=1, max_size=40))
def test_no_word_is_without_length_however_many_a_frame_has(chunk: Chunk, steps: list[tuple[int, bool]]) -> None:
    frames = list(accumulate(step for step, _ in steps))
    tokens = [Token(" а" if begins else "а", frame, -0.1) for frame, (_, begins) in zip(frames, steps, strict=True)]
    assume(len(chunk.span) > (frames[-1] + 1) * len(steps))
    for word in words_of(segments(chunk, Hypothesis(tuple(tokens), frames[-1] + 1), 0)):
        assert word.start_s < word.end_s


def test_a_word_begins_and_ends_where_its_frames_do_in_whole_samples_rounded_down() -> None:
    (word,) = words_of(segments(chunk_at(7, 1000), Hypothesis((Token(" да", 2, -0.1),), 7), 0))
    assert (word.start_s, word.end_s) == ((7 + 285) / SAMPLE_RATE, (7 + 428) / SAMPLE_RATE)  # of 285.7 and 428.6


def test_a_words_probability_is_the_geometric_mean_of_its_tokens_without_the_space() -> None:
    tokens = (Token("н", 0, math.log(0.9)), Token(" ", 1, -5.0), Token("д", 2, math.log(0.4)), Token("а", 3, 0.0))
    first, second = words_of(segments(chunk_at(0, 100 * 640), Hypothesis(tokens, 100), 0))
    assert first.probability == pytest.approx(0.9)
    assert second.probability == pytest.approx(math.sqrt(0.4))


def test_no_speech_probability_is_measured_under_the_segment_only() -> None:
    speech = [0.25] * 25 + [0.75] * 25  # the voice is clear in the second half alone
    chunk = chunk_at(7 * SAMPLE_RATE, 50 * VAD_WINDOW, speech)
    tokens = (Token(" а", 2, -0.1), Token(" б", 36, -0.1))
    first, second = segments(chunk, Hypothesis(tokens, 40), 0)
    assert first.no_speech_prob == pytest.approx(0.75)
    assert second.no_speech_prob == pytest.approx(0.25)


def test_a_segment_without_length_takes_the_window_it_begins_in() -> None:
    chunk = chunk_at(2 * VAD_WINDOW, 1, [0.5])
    first, second = segments(chunk, Hypothesis((Token(" Да.", 0, -0.1), Token(" Нет", 0, -0.1)), 1), 0)
    assert first.start_s == first.end_s
    assert first.no_speech_prob == second.no_speech_prob == pytest.approx(0.5)


@pytest.mark.parametrize("tokens", [(), (Token(" ", 3, -1.0), Token("  ", 4, -1.0)), (Token("", 0, -1.0),)])
def test_nothing_heard_is_no_segments(tokens: tuple[Token, ...]) -> None:
    assert segments(chunk_at(0, SAMPLE_RATE), Hypothesis(tokens, 25), 0) == []
