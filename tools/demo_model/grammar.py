"""Russian agreement on top of pymorphy3: noun phrases, verbs that agree with their subject, numbers as words."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from num2words import num2words
from pymorphy3 import MorphAnalyzer
from pymorphy3.analyzer import Parse

HERE = Path(__file__).parent
PRONOUNS = {  # form: (person, gender or None, plural)
    "я": ("1per", None, False),
    "ты": ("2per", None, False),
    "он": ("3per", "masc", False),
    "она": ("3per", "femn", False),
    "мы": ("1per", None, True),
    "вы": ("2per", None, True),
    "они": ("3per", None, True),
}
BE = {  # the future of "быть", for imperfective verbs
    ("1per", False): "буду",
    ("2per", False): "будешь",
    ("3per", False): "будет",
    ("1per", True): "будем",
    ("2per", True): "будете",
    ("3per", True): "будут",
}
COUNT_GENDERS = {"masc": "m", "femn": "f", "neut": "n"}


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words of a noun phrase and what a verb has to agree with."""

    words: str
    person: str = "3per"
    gender: str = "masc"
    plural: bool = False


@lru_cache(maxsize=1)
def analyzer() -> MorphAnalyzer:
    return MorphAnalyzer()


@lru_cache(maxsize=1)
def lexicon() -> dict[str, list[str]]:
    """Section name to entries; a line with bars holds whole phrases, any other line words."""
    sections: dict[str, list[str]] = {}
    entries: list[str] = []
    for line in (HERE / "lexicon.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            entries = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            # In a mixed line the words before the first bar are ordinary ones.
            head, *phrases = line.split("|")
            found = head.split() if not phrases or " на " not in f" {head} " else [head]
            entries.extend(word.replace("_", " ") for word in [*found, *phrases])
    return sections


@lru_cache(maxsize=20000)
def parse(lemma: str, part: str) -> Parse | None:
    """The reading of a lemma as this part of speech, in its base form."""
    readings = [p for p in analyzer().parse(lemma.lower()) if part in p.tag]
    base = [p for p in readings if part != "NOUN" or "nomn" in p.tag]
    named = [p for p in base if not lemma[0].isupper() or {"Name", "Geox", "Surn"} & set(p.tag.grammemes)]
    best = named or base or readings
    return best[0] if best else None


@lru_cache(maxsize=200000)
def inflect(lemma: str, part: str, grammemes: frozenset[str]) -> str:
    """The form asked for, or the lemma itself where the word has none."""
    found = parse(lemma, part)
    form = found.inflect(grammemes) if found is not None else None
    return str(form.word) if form is not None else lemma.lower()


def noun(lemma: str, case: str, plural: bool = False, adjective: str = "") -> Phrase:
    """A noun in its case, with an adjective that agrees."""
    head, _, rest = lemma.partition(" ")
    found = parse(head, "NOUN")
    if found is None:
        return Phrase(lemma)
    tag = set(found.tag.grammemes)
    plural = (plural and "Sgtm" not in tag) or "Pltm" in tag
    gender = next((g for g in ("masc", "femn", "neut") if g in tag), "masc")
    words = [inflect(head, "NOUN", frozenset({case, "plur" if plural else "sing"}))]
    if adjective:
        grammemes = {case, "plur"} if plural else {case, "sing", gender}
        if case == "accs" and (plural or gender == "masc"):
            grammemes.add("anim" if "anim" in tag else "inan")
        words.insert(0, inflect(adjective, "ADJF", frozenset(grammemes)))
    return Phrase(" ".join([*words, rest]).strip(), "3per", gender, plural)


def pronoun(rng: random.Random) -> Phrase:
    word = rng.choice(list(PRONOUNS))
    person, gender, plural = PRONOUNS[word]
    return Phrase(word, person, gender or rng.choice(["masc", "femn"]), plural)


def verb(infinitive: str, subject: Phrase, tense: str) -> str:
    """past, or the present (imperfective) / simple future (perfective); future of imperfectives takes "быть"."""
    number = "plur" if subject.plural else "sing"
    found = parse(infinitive, "INFN")
    if found is None:
        return infinitive
    if tense == "past":
        wanted = {"past", number} if subject.plural else {"past", "sing", subject.gender}
        return inflect(infinitive, "INFN", frozenset(wanted))
    if tense == "future" and "impf" in found.tag:
        return f"{BE[subject.person, subject.plural]} {infinitive}"
    return inflect(infinitive, "INFN", frozenset({subject.person, number}))


def count(number: int, unit: str) -> str:
    """A number with its unit: три рубля, двадцать одна минута."""
    found = parse(unit, "NOUN")
    gender = next((g for g in COUNT_GENDERS if found is not None and g in found.tag), "masc")
    spoken = str(num2words(number, lang="ru", gender=COUNT_GENDERS[gender]))
    agreed = found.make_agree_with_number(number) if found is not None else None
    return f"{spoken} {agreed.word if agreed is not None else unit}"


def ordinal(number: int, case: str, gender: str = "masc") -> str:
    """двадцать первого: only the last word of a Russian ordinal is declined."""
    *head, last = str(num2words(number, lang="ru", to="ordinal")).split()
    return " ".join([*head, inflect(last, "ADJF", frozenset({case, "sing", gender}))])
