"""Words that were said stay said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asr_core.live.agreement import Agreement, alike

hearings = st.lists(st.lists(st.sampled_from("abcd"), max_size=8), max_size=8)


def agreement(*said: str) -> Agreement[str]:
    return Agreement(str, said)


@given(hearings, st.lists(st.sampled_from("abcd"), max_size=8))
def test_what_was_said_is_the_beginning_of_all_that_is_said_later(heard: list[list[str]], whole: list[str]) -> None:
    utterance, told = agreement(), list[str]()
    for words in heard:
        told += utterance.push(words)
        assert utterance.said == told
    told += utterance.finish(whole)
    assert utterance.said == told
    assert utterance.contradicted == (whole[: len(told)] != told[: len(whole)] or len(whole) < len(told))


@given(st.lists(st.sampled_from("abcd"), max_size=8), st.integers(0, 8))
def test_hearings_that_agree_give_the_words_of_the_last(whole: list[str], n: int) -> None:
    utterance = agreement()
    for _ in range(2):
        utterance.push(whole[:n])
    utterance.finish(whole)
    assert utterance.said == whole
    assert not utterance.contradicted


def test_a_word_is_said_when_two_hearings_agree_on_it_and_another_follows() -> None:
    utterance = agreement()
    assert utterance.push(["мама", "мы"]) == []
    assert utterance.push(["мама", "мыла"]) == ["мама"]
    assert utterance.push(["мама", "мыла", "ра"]) == ["мыла"]
    assert utterance.push(["мама", "мыла", "раму"]) == []
    assert utterance.finish(["мама", "мыла", "раму"]) == ["раму"]


def test_where_the_clean_hearing_disagrees_what_was_said_stays_and_the_rest_is_the_hearings() -> None:
    utterance = agreement("мама", "мыла")
    assert utterance.finish(["мама", "мила", "раму"]) == ["раму"]
    assert utterance.contradicted


def test_words_said_before_a_cut_are_not_said_again_behind_it() -> None:
    utterance = agreement("раму")
    assert utterance.push(["раму", "и", "дверь"]) == []
    assert utterance.push(["раму", "и", "дверь"]) == ["и"]


def test_the_place_that_is_most_like_what_was_said_needs_the_fewest_edits() -> None:
    assert alike("abc", "abcd") == 3
    assert alike("abc", "bcd") == 2
    assert alike("abc", "xabcd") == 4
    assert alike("abc", "") == 0
    assert alike("", "abc") == 0
