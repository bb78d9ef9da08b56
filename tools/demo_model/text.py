"""Sentences to speak: an everyday grammar, and rare words for coverage.

    python -m tools.demo_model.text --seed 1 --count 20

The same seed gives the same sentences. `spoken` keeps ё and punctuation for the voices, `label` is what a recogniser
writes.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tools.demo_model.everyday import Everyday
from tools.demo_model.grammar import analyzer

RARE_SHARE = 0.12
MAX_CHARACTERS = 110  # about 8 s of speech
RARE_PARTS = ("NOUN", "ADJF", "VERB", "INFN", "ADVB")
UNUSUAL = {"Abbr", "Name", "Surn", "Patr", "Orgn", "Arch", "Erro"}


@dataclass(frozen=True, slots=True)
class Sentence:
    spoken: str
    label: str
    rare: bool


def label_of(spoken: str) -> str:
    """Lower case, е for ё, words only: what the network's 33 characters can write."""
    return " ".join(re.findall("[а-я]+", spoken.lower().replace("ё", "е")))


@lru_cache(maxsize=1)
def rare_words() -> list[str]:
    """Every 97th inflected form of the dictionary that is an ordinary word."""
    found = []
    for index, (word, tag, *_) in enumerate(analyzer().dictionary.iter_known_words()):
        drawn = index % 97 == 0 and 3 <= len(word) <= 14 and re.fullmatch("[а-яё]+", word)
        if drawn and tag.POS in RARE_PARTS and not UNUSUAL & set(tag.grammemes):
            found.append(word)
    return found


def sentences(seed: int, rare_share: float = RARE_SHARE) -> Iterator[Sentence]:
    """An endless stream, the same for the same seed."""
    rng = random.Random(seed)
    everyday = Everyday(rng)
    while True:
        rare = rng.random() < rare_share
        spoken = " ".join(rng.sample(rare_words(), rng.randint(2, 6))) if rare else everyday.sentence()
        label = label_of(spoken)
        if label and len(label) <= MAX_CHARACTERS:
            yield Sentence(spoken, label, rare)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--rare-share", type=float, default=RARE_SHARE)
    arguments = parser.parse_args()
    stream = sentences(arguments.seed, arguments.rare_share)
    for sentence in (next(stream) for _ in range(arguments.count)):
        print(sentence.spoken, "|", sentence.label)


if __name__ == "__main__":
    main()
