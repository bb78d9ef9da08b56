"""Which language an answer is in, by its letters: the first article of the Declaration of Human Rights, and less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.text.languages import code_of, main_language, shares, understood
from asr_core.types import MULTILINGUAL, RUSSIAN

ARTICLES = {
    "ru": (
        "все люди рождаются свободными и равными в своем достоинстве и правах они наделены разумом и совестью "
        "и должны поступать в отношении друг друга в духе братства"
    ),
    "kk": (
        "барлық адамдар тумысынан азат және қадір қасиеті мен құқықтары тең болып дүниеге келеді адамдарға "
        "ақыл парасат ар ождан берілген сондықтан олар бір бірімен туыстық бауырмалдық қарым қатынас "
        "жасаулары тиіс"
    ),
    "ky": (
        "бардык адамдар өз беделинде жана укуктарында эркин жана тең укуктуу болуп жаралат алардын аң сезими "
        "менен абийири бар жана бири бирине бир туугандык мамиле кылууга тийиш"
    ),
    "uz": (
        "barcha odamlar erkin qadr qimmat va huquqlarda teng bo'lib tug'iladilar ular aql va vijdon "
        "sohibidirlar va bir birlari ila birodarlarcha muomala qilishlari zarur"
    ),
    "en": (
        "all human beings are born free and equal in dignity and rights they are endowed with reason and "
        "conscience and should act towards one another in a spirit of brotherhood"
    ),
}
UZBEK_CYRILLIC = (
    "барча одамлар эркин қадр қиммат ва ҳуқуқларда тенг бўлиб туғиладилар улар ақл ва виждон соҳибидирлар ва "
    "бир бирлари ила биродарларча муомала қилишлари зарур"
)


@pytest.mark.parametrize(("code", "text"), [*ARTICLES.items(), ("uz", UZBEK_CYRILLIC)])
def test_each_language_is_told_by_its_letters(code: str, text: str) -> None:
    assert shares([text], MULTILINGUAL) == {code: 1.0}
    assert shares([text.upper()], MULTILINGUAL) == {code: 1.0}


@pytest.mark.parametrize(
    ("code", "phrase"),
    [
        ("ru", "добрый день как ваши дела"),
        ("kk", "қайырлы күн қалыңыз қалай"),
        ("kk", "сәлеметсіз бе менің атым айгүл"),
        ("ky", "кутман күн ишиңиз кандай"),
        ("uz", "assalomu alaykum ishlaringiz qalay"),
        ("uz", "men o'zbekistonda yashayman"),
        ("en", "good morning how are you"),
        ("en", "don't do it it's only seven o'clock"),
        ("en", "my idea is a very simple one"),
    ],
)
def test_a_phrase_is_often_enough(code: str, phrase: str) -> None:
    assert main_language([phrase], MULTILINGUAL) == code


def test_a_foreign_name_does_not_change_the_language() -> None:
    assert shares([ARTICLES["ru"] + " сказал әлия"], MULTILINGUAL) == {"ru": 1.0}
    assert shares([ARTICLES["ru"] + " в google"], MULTILINGUAL).keys() == {"ru"}


def test_of_two_languages_both_are_told_the_main_one_first() -> None:
    assert [*shares([ARTICLES["en"], ARTICLES["kk"] * 2], MULTILINGUAL)] == ["kk", "en"]
    assert [*shares([ARTICLES["ru"] * 2, ARTICLES["uz"]], MULTILINGUAL)] == ["ru", "uz"]


@given(st.lists(st.text()), st.sampled_from([MULTILINGUAL, RUSSIAN]))
def test_whatever_is_said_only_known_languages_are_told(texts: list[str], known: tuple[str, ...]) -> None:
    found = shares(texts, known)
    assert found.keys() <= set(known)
    assert sum(found.values()) <= 1 + 1e-9
    assert [*found.values()] == sorted(found.values(), reverse=True)
    assert main_language(texts, known) in known


def test_where_nothing_is_said_there_is_no_language() -> None:
    assert shares(["", " 123 —"], MULTILINGUAL) == {}


def test_a_model_of_russian_hears_russian() -> None:
    assert shares([ARTICLES["en"]], RUSSIAN) == shares([], RUSSIAN) == {"ru": 1.0}


@pytest.mark.parametrize("written", ["kk", "KK", "kaz", "Kazakh", "kk-KZ", "kk_KZ"])
def test_a_language_may_be_written_in_any_way(written: str) -> None:
    assert code_of(written) == "kk"
    assert understood(written, MULTILINGUAL)
    assert not understood(written, RUSSIAN)
    assert understood("auto", RUSSIAN) and not understood("tt", MULTILINGUAL)
