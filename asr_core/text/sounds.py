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

_LATIN_NAMES = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        [
            "эй",
            "би",
            "си",
            "ди",
            "и",
            "эф",
            "джи",
            "эйч",
            "ай",
            "джей",
            "кей",
            "эль",
            "эм",
            "эн",
            "о",
            "пи",
            "кью",
            "ар",
            "эс",
            "ти",
            "ю",
            "ви",
            "даблю",
            "икс",
            "вай",
            "зет",
        ],
        strict=True,
    )
)
_RUSSIAN_NAMES = dict(
    zip(
        "абвгдежзийклмнопрстуфхцчшщъыьэюя",
        [
            "а",
            "бэ",
            "вэ",
            "гэ",
            "дэ",
            "е",
            "жэ",
            "зэ",
            "и",
            "й",
            "ка",
            "эль",
            "эм",
            "эн",
            "о",
            "пэ",
            "эр",
            "эс",
            "тэ",
            "у",
            "эф",
            "ха",
            "цэ",
            "че",
            "ша",
            "ща",
            "ъ",
            "ы",
            "ь",
            "э",
            "ю",
            "я",
        ],
        strict=True,
    )
)
_LATIN_SOUNDS = (  # the first that fits
    *(("sch", "ш"), ("tch", "ч"), ("sh", "ш"), ("ch", "ч"), ("zh", "ж"), ("kh", "х"), ("ts", "ц"), ("th", "т")),
    *(("ph", "ф"), ("ck", "к"), ("qu", "кв"), ("oo", "у"), ("ee", "и"), ("ea", "и"), ("ou", "ау"), ("ow", "оу")),
    *(("yo", "е"), ("yu", "ю"), ("ya", "я"), ("ye", "е"), ("ce", "се"), ("ci", "си"), ("cy", "си"), ("x", "кс")),
    *zip(
        "abcdefghijklmnopqrstuvwyz",
        [
            "а",
            "б",
            "к",
            "д",
            "е",
            "ф",
            "г",
            "х",
            "и",
            "дж",
            "к",
            "л",
            "м",
            "н",
            "о",
            "п",
            "к",
            "р",
            "с",
            "т",
            "у",
            "в",
            "в",
            "и",
            "з",
        ],
        strict=True,
    ),
)
_UNITS = ["ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"]
_TEENS = [
    "десять",
    "одиннадцать",
    "двенадцать",
    "тринадцать",
    "четырнадцать",
    "пятнадцать",
    "шестнадцать",
    "семнадцать",
    "восемнадцать",
    "девятнадцать",
]
_TENS = ["двадцать", "тридцать", "сорок", "пятьдесят", "шестьдесят", "семьдесят", "восемьдесят", "девяносто"]
_HUNDREDS = ["сто", "двести", "триста", "четыреста", "пятьсот", "шестьсот", "семьсот", "восемьсот", "девятьсот"]


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
        latin, russian = next(pair for pair in _LATIN_SOUNDS if rest.startswith(pair[0]))
        letters, rest = letters + russian, rest[len(latin) :]
    if letters.startswith("е") and word[0] == "e":
        letters = "э" + letters[1:]
    if len(word) > 3 and word.endswith("e"):
        yield letters[:-1]
    yield letters


def _number(digits: str) -> str:
    """Up to 999 as a number, what is longer or begins with 0 digit by digit."""
    if len(digits) > 3 or (digits[0] == "0" and len(digits) > 1):
        return " ".join(_UNITS[int(digit)] for digit in digits)
    hundreds, rest = divmod(int(digits), 100)
    words = [_HUNDREDS[hundreds - 1]] if hundreds else []
    if 10 <= rest < 20:
        words.append(_TEENS[rest - 10])
    else:
        tens, units = divmod(rest, 10)
        words += [_TENS[tens - 2]] if tens else []
        words += [_UNITS[units]] if units or not words else []
    return " ".join(words)
