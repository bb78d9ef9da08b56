"""PURE: a written word → the small Russian letters that a model hears it as: digits, Latin, abbreviations, hyphens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, product

_RUSSIAN = re.compile(r"[а-я]+")
_PIECES = re.compile(r"[0-9]+|[a-z]+|[а-я]+|[^0-9a-zа-я]", re.IGNORECASE)
_SILENT = frozenset("-‐‑–—’'`\"«»“”„().,:;!?/&+№#@*_\u00ad")
_ABBREVIATION = 5
"""Capitals of which so many or fewer are read letter by letter."""


def _pairs(text: str) -> dict[str, str]:
    """`a эй b би` → {"a": "эй", "b": "би"}."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


_LATIN_NAMES = _pairs(
    "a эй b би c си d ди e и f эф g джи h эйч i ай j джей k кей l эль m эм n эн o о p пи q кью r ар s эс t ти u ю "
    "v ви w даблю x икс y вай z зет"
)
_RUSSIAN_NAMES = _pairs(
    "а а б бэ в вэ г гэ д дэ е е ж жэ з зэ и и й й к ка л эль м эм н эн о о п пэ р эр с эс т тэ у у ф эф х ха ц "
    "цэ ч че ш ша щ ща ъ ъ ы ы ь ь э э ю ю я я"
)
_LATIN_SOUNDS = _pairs(  # the first that fits
    "sch ш tch ч sh ш ch ч zh ж kh х ts ц th т ph ф ck к qu кв oo у ee и ea и ou ау ow оу yo е yu ю ya я ye е ce "
    "се ci си cy си a а b б c к d д e е f ф g г h х i и j дж k к l л m м n н o о p п q к r р s с t т u у v в w в "
    "x кс y и z з"
)
_NUMBERS = _pairs(
    "0 ноль 1 один 2 два 3 три 4 четыре 5 пять 6 шесть 7 семь 8 восемь 9 девять 10 десять 11 одиннадцать 12 "
    "двенадцать 13 тринадцать 14 четырнадцать 15 пятнадцать 16 шестнадцать 17 семнадцать 18 восемнадцать 19 "
    "девятнадцать 20 двадцать 30 тридцать 40 сорок 50 пятьдесят 60 шестьдесят 70 семьдесят 80 восемьдесят 90 "
    "девяносто 100 сто 200 двести 300 триста 400 четыреста 500 пятьсот 600 шестьсот 700 семьсот 800 восемьсот 900 "
    "девятьсот"
)


def plain(text: str) -> str:
    """Small letters, е for ё."""
    return text.lower().replace("ё", "е")


def heard_word(word: str) -> Iterator[str]:
    """The ways in which a written word is heard, likeliest first; none if something in it cannot be said."""
    word = word.replace("ё", "е").replace("Ё", "Е")
    parts: list[list[str]] = []
    for piece in _PIECES.findall(word):
        if piece in _SILENT:
            continue
        ways = list(_ways(piece, alone=piece == word))
        if not ways:
            return
        parts.append(ways)
    if not parts:
        return
    for choice in islice(product(*parts), 8):
        yield " ".join(choice)
        if "-" in word and all(map(_RUSSIAN.fullmatch, choice)):
            yield "".join(choice)


def _ways(piece: str, alone: bool) -> Iterator[str]:
    if piece.isdecimal():
        yield _number(piece)
        return
    small = piece.lower()
    spelled_out = piece.isupper() and len(piece) <= _ABBREVIATION
    if _RUSSIAN.fullmatch(small):
        yield small
        if spelled_out and (len(piece) > 1 or not alone):
            yield from _letter_by_letter(small, _RUSSIAN_NAMES)
    elif small.isascii() and small.isalpha():
        if spelled_out:
            yield from _letter_by_letter(small, _LATIN_NAMES)
        yield from _transliterated(small)


def _letter_by_letter(letters: str, names: dict[str, str]) -> Iterator[str]:
    spoken = [names[letter] for letter in letters]
    yield " ".join(spoken)
    if len(spoken) > 1:
        yield "".join(spoken)


def _transliterated(word: str) -> Iterator[str]:
    """A Latin word as a Russian reads it; one in a silent e both with it and without."""
    letters, rest = "", word
    while rest:
        latin, russian = next(pair for pair in _LATIN_SOUNDS.items() if rest.startswith(pair[0]))
        letters, rest = letters + russian, rest[len(latin) :]
    if letters.startswith("е") and word[0] == "e":
        letters = "э" + letters[1:]
    if len(word) > 3 and word.endswith("e"):
        yield letters[:-1]
    yield letters


def _number(digits: str) -> str:
    """Up to 999 as a number, what is longer or begins with 0 digit by digit."""
    if len(digits) > 3 or (digits[0] == "0" and len(digits) > 1):
        return " ".join(map(_NUMBERS.__getitem__, digits))
    number = int(digits)
    rest = number % 100
    parts = [number - rest, rest] if rest < 20 else [number - rest, rest - rest % 10, rest % 10]
    return " ".join(_NUMBERS[str(part)] for part in parts if part) or _NUMBERS["0"]
