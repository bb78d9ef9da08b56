"""Keywords: the ways to say them, and what a prompt has of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.text.keywords import prompted, spellings
from asr_core.types import Keyword


def heard(text: str) -> dict[str, str]:
    """What is written for each way to say a keyword."""
    return {way.heard: way.written for way in spellings(Keyword(text))}


@pytest.mark.parametrize(
    ("keyword", "ways"),
    [
        ("Иванов", {"иванов": "Иванов", "ивановым": "Ивановым", "ивановых": "Ивановых"}),
        ("Семёнов", {"семенов": "Семёнов", "семенову": "Семёнову"}),
        ("ибупрофен", {"ибупрофена": "ибупрофена", "ибупрофеном": "ибупрофеном"}),
        ("Кубернетес", {"кубернетеса": "Кубернетеса"}),  # not a word that the dictionary has
        ("Санкт-Петербург", {"санкт петербургу": "Санкт-Петербургу", "санктпетербург": "Санкт-Петербург"}),
        ("Нижний Новгород", {"нижнем новгороде": "Нижнем Новгороде", "нижнего новгорода": "Нижнего Новгорода"}),
        ("Анна Кузнецова", {"анне кузнецовой": "Анне Кузнецовой"}),
        ("улица Ленина", {"улице ленина": "улице Ленина"}),
        ("Kubernetes", {"кубернетес": "Kubernetes"}),
        ("Google", {"гугл": "Google"}),
        ("GPT-4", {"джи пи ти четыре": "GPT-4"}),
        ("ФСБ", {"фсб": "ФСБ", "эф эс бэ": "ФСБ"}),
        ("1С", {"один эс": "1С"}),
        ("С-300", {"с триста": "С-300"}),
        ("5G", {"пять джи": "5G"}),
    ],
)
def test_a_keyword_is_heard_in_its_forms_and_written_as_it_was_given(keyword: str, ways: dict[str, str]) -> None:
    assert ways.items() <= heard(keyword).items()


@pytest.mark.parametrize("keyword", ["日本", "Ω", "...", ""])
def test_what_nobody_can_say_in_russian_has_no_spelling(keyword: str) -> None:
    assert spellings(Keyword(keyword)) == []


def test_a_woman_is_not_a_form_of_a_man() -> None:
    assert "ивановой" not in heard("Иванов")
    assert "иванович" not in heard("Ивановна")


def test_no_form_is_worth_more_than_the_keyword() -> None:
    letters = {way.heard: way.n_letters for way in spellings(Keyword("Роза"))}
    assert letters["розами"] == letters["роза"] == 4
    assert letters["роз"] == 3


@given(st.text(max_size=40))
def test_whatever_is_given_is_heard_in_small_russian_letters(text: str) -> None:
    for way in spellings(Keyword(text)):
        assert re.fullmatch("[а-я]+( [а-я]+)*", way.heard)
        assert way.written


def test_of_a_prompt_names_foreign_and_unknown_words_count() -> None:
    prompt = "Совещание с Ивановым по Kubernetes. Обсуждаем ибупрофенчик, потом обед. Завтра снова."
    assert [keyword.text for keyword in prompted(prompt)] == ["Ивановым", "Kubernetes", "ибупрофенчик"]
    assert all(keyword.weight == 0.5 for keyword in prompted(prompt))


def test_a_prompt_of_ordinary_words_has_no_keywords() -> None:
    assert list(prompted("Запись совещания. Говорят двое, потом музыка.")) == []
