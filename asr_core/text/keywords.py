"""PURE: keywords as people write them → how a model may hear them, and what the transcript has then.

`Spelling.heard` is small Russian letters and single spaces. pymorphy3 inflects; it is imported when the first keyword
comes, since its dictionary takes memory and a moment to load.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, product
from typing import Any

from asr_core.text.sounds import heard_word, plain
from asr_core.types import Keyword, Spelling
from asr_core.wordlist import MAX_KEYWORD_CHARS

PROMPT_WEIGHT = 0.5
"""A prompt is prose: what it names may or may not be spoken of."""

_CASES = ("nomn", "gent", "datv", "accs", "ablt", "loct")
_NAMES = ("Surn", "Name", "Patr", "Geox", "Orgn")
_MAX_SPELLINGS = 64
"""Of one keyword."""
_SHORTEST_UNKNOWN = 4
"""Letters of a word in a prompt that counts as a keyword because the dictionary does not know it."""

_WORD = re.compile(r"[^\W_]+(?:[-’'`][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…:\n]\W*$")
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)
_CYRILLIC_WORD = re.compile(r"[а-яё-]+", re.IGNORECASE)


def spellings(keyword: Keyword) -> list[Spelling]:
    """The ways to say a keyword and its inflected forms; none if it has something in it that nobody can say."""
    found: dict[str, Spelling] = {}
    n_given = 0
    for form in [keyword.text, *_forms(keyword.text)]:
        for heard in _heard(form):
            n_letters = len(heard.replace(" ", ""))
            n_given = n_given or n_letters
            found.setdefault(heard, Spelling(heard, form, min(n_letters, n_given), keyword.weight))
    return list(islice(found.values(), _MAX_SPELLINGS))


def prompted(prompt: str) -> Iterator[Keyword]:
    """What a prompt says of what may be spoken of: Latin words, names, and words that the dictionary does not know."""
    begin, seen = 0, set()
    for match in _WORD.finditer(prompt):
        word = match[0]
        first = begin == 0 or bool(_SENTENCE_END.search(prompt[begin : match.start()]))
        begin = match.end()
        if word.casefold() not in seen and _is_special(word, first):
            seen.add(word.casefold())
            yield Keyword(word[:MAX_KEYWORD_CHARS], PROMPT_WEIGHT)


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    from pymorphy3 import MorphAnalyzer  # noqa: PLC0415 - a dictionary of 20 MB, for those who have keywords

    return MorphAnalyzer()


def _is_special(word: str, first: bool) -> bool:
    """Whether a prompt's word is more than an ordinary one; at the beginning of a sentence any has a capital."""
    if _LATIN.search(word):
        return True
    if not _CYRILLIC_WORD.fullmatch(word):
        return False
    if word[0].isupper() and not first:
        return True
    analyzer = _analyzer()
    if not analyzer.word_is_known(word.lower()):
        return len(word) >= _SHORTEST_UNKNOWN
    return word[0].isupper() and _is_name(analyzer.parse(word.lower())[0])


def _is_name(parse: Any) -> bool:
    return any(tag in parse.tag for tag in _NAMES)


def _heard(text: str) -> Iterator[str]:
    """The ways to say `text`, as it is written; none if one of its words has none."""
    words = [list(heard_word(word)) for word in text.split()]
    for choice in islice(product(*words), 8):
        if heard := " ".join(" ".join(choice).split()):
            yield heard


def _forms(text: str) -> Iterator[str]:
    """`text` in the other cases, and a single word in its other forms; written as `text` is."""
    words = text.split()
    if not all(_inflects(word) for word in words):
        if len(words) > 1 and any(_inflects(word) for word in words):
            yield from _in_agreement(words)
    elif len(words) == 1:
        yield from (_written(form, text) for form in _lexeme(words[0]))
    elif words:
        yield from _in_agreement(words)


def _inflects(word: str) -> bool:
    """Whether it can be a Russian word; capitals alone are an abbreviation."""
    return bool(_CYRILLIC_WORD.fullmatch(word)) and len(word) > 2 and not word.isupper()


def _lexeme(word: str) -> Iterator[str]:
    """Forms of the same part of speech and gender, plural ones included."""
    if (parse := _reading(word)) is None:
        return
    for form in parse.lexeme:
        if form.tag.POS == parse.tag.POS and form.tag.gender in (parse.tag.gender, None):
            yield form.word


def _in_agreement(words: list[str]) -> Iterator[str]:
    """A name of several words in each case: what is in the nominative follows, what depends on it stays."""
    readings = [_reading(word) if _inflects(word) else None for word in words]
    named_after = words[0].islower() and readings[0] is not None and readings[0].tag.POS == "NOUN"
    if named_after:  # улица Ленина
        readings[1:] = [None] * (len(words) - 1)
    for case in _CASES:
        forms = []
        for word, reading in zip(words, readings, strict=True):
            form = reading.inflect({case}) if reading is not None and "nomn" in reading.tag else None
            forms.append(_written(form.word, word) if form is not None else word)
        yield " ".join(forms)


@lru_cache(maxsize=4096)
def _reading(word: str) -> Any:
    """The most likely reading of a word that has cases; of one with a capital, a name's."""
    readings = [parse for parse in _analyzer().parse(word.lower()) if parse.tag.POS in ("NOUN", "ADJF")]
    is_named = word[0].isupper()

    def rank(parse: Any) -> tuple[bool, bool, float]:
        return "nomn" in parse.tag and "plur" not in parse.tag, is_named and _is_name(parse), parse.score

    return max(readings, key=rank, default=None)


def _written(form: str, given: str) -> str:
    """An inflected form with the capitals of the word as it was given, and with ё only where that has it."""
    if "ё" not in given.lower():
        form = form.replace("ё", "е")
    shared = 0
    while shared < min(len(form), len(given)) and plain(form[shared]) == plain(given[shared]):
        shared += 1
    return given[:shared] + form[shared:]
