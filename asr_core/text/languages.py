"""Which languages a text is in, by its script and letters, among those that a model knows.

It does not know words. Cyrillic without letters of other languages is Russian, Latin without signs of Uzbek is English;
a few words can be too few to tell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from asr_core.types import RUSSIAN

NAMES = {"ru": "russian", "kk": "kazakh", "ky": "kyrgyz", "uz": "uzbek", "en": "english"}
"""Of the languages that there are models for: by their codes, the names that Whisper has for them or would have."""

_SPELLINGS = {
    **{code: code for code in NAMES},
    **{name: code for code, name in NAMES.items()},
    **{"rus": "ru", "kaz": "kk", "kir": "ky", "kirghiz": "ky", "uzb": "uz", "eng": "en"},
}

_WORD = re.compile(r"[^\W\d_]+(?:['’ʻʼ‘`][^\W\d_]+)*")
_CYRILLIC = re.compile("[а-яёәғқңөұүһіўҳ]")
_LATIN = re.compile("[a-z]")

_KAZAKH = re.compile("[әұһі]")
_KAZAKH_OR_UZBEK = re.compile("[қғ]")
_UZBEK = re.compile("[ўҳ]")
_KYRGYZ_OR_KAZAKH = re.compile("[ңөү]")
"""Kyrgyz has no letter of its own; Kazakh has these in one word where it has its own in three."""
_UZBEK_LATIN = re.compile(r"q(?!u)|[og]['’ʻʼ‘`](?!(?:s|t|d|m|ll|re|ve|clock)\b)|^x|.[ai]$")
_ENGLISH = re.compile(r"w|c(?!h)|th|ee|oo|ou|ea|[^aeiou']y$|^[ai]$")

_RUSSIAN_MAY_HAVE = 1 / 12
"""Share of Russian's words with letters of other languages: names."""
_SPOKEN = 0.1
"""Share of the words that a language has to have to be one of those that are spoken."""


def code_of(language: str) -> str | None:
    """The code of a language as a client may write it (`kk`, `kaz`, `Kazakh`, `kk-KZ`); None for any other."""
    return _SPELLINGS.get(language.lower().replace("_", "-").partition("-")[0])


def understood(language: str, known: Sequence[str]) -> bool:
    """Whether a request that names `language` gets what it asks for; it may also leave the choice to the server."""
    return language.lower() == "auto" or code_of(language) in known


def shares(texts: Iterable[str], known: Sequence[str]) -> dict[str, float]:
    """Codes of the languages of `known` that the texts are in, with their shares of the words, the greatest first.

    A model that knows one language hears that one, whatever is said. Where there are no words there is no language.
    """
    if len(known) == 1:
        return {known[0]: 1.0}
    found = Counter(_told_apart(word.lower() for text in texts for word in _WORD.findall(text)))
    total = found.total()
    return {code: n / total for code, n in found.most_common() if code in known and n >= _SPOKEN * total}


def is_told(known: Sequence[str]) -> bool:
    """Whether answers have `languages`: those of a model of Russian alone would say nothing by them."""
    return tuple(known) != RUSSIAN


def main_language(texts: Iterable[str], known: Sequence[str]) -> str:
    """The code of the language that most is said in; the model's first where nothing is."""
    return next(iter(shares(texts, known)), known[0])


def _told_apart(words: Iterable[str]) -> Iterator[str]:
    """A code for each word that has letters of one of the scripts: that of the script's main language."""
    cyrillic, latin = [], []
    for word in words:
        if _CYRILLIC.search(word):
            cyrillic.append(word)
        elif _LATIN.search(word):
            latin.append(word)
    for language, of_script in ((_of_cyrillic, cyrillic), (_of_latin, latin)):
        if of_script:
            yield from [language(of_script)] * len(of_script)


def _of_cyrillic(words: Sequence[str]) -> str:
    uzbek, kazakh, either, kyrgyz = (
        _n(pattern, words) for pattern in (_UZBEK, _KAZAKH, _KAZAKH_OR_UZBEK, _KYRGYZ_OR_KAZAKH)
    )
    if uzbek + kazakh + either + kyrgyz <= _RUSSIAN_MAY_HAVE * len(words):
        return "ru"
    turkic = ("uz", uzbek + either) if uzbek > kazakh else ("kk", kazakh + either)
    return turkic[0] if turkic[1] >= kyrgyz else "ky"


def _of_latin(words: Sequence[str]) -> str:
    return "uz" if _n(_UZBEK_LATIN, words) > _n(_ENGLISH, words) else "en"


def _n(pattern: re.Pattern[str], words: Sequence[str]) -> int:
    """How many of the words have it."""
    return sum(bool(pattern.search(word)) for word in words)
