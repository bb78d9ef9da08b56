"""Word and character error rates, and the decision when two texts count as the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Insertions, deletions and substitutions (Levenshtein)."""
    row = list(range(len(hypothesis) + 1))
    for i, expected in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, heard in enumerate(hypothesis, 1):
            substituted = previous + (expected != heard)
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, substituted)
    return row[-1]


@dataclass(frozen=True, slots=True)
class Score:
    """Errors and what they are counted against; scores add up over recordings."""

    word_errors: int = 0
    words: int = 0
    character_errors: int = 0
    characters: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.word_errors + other.word_errors,
            self.words + other.words,
            self.character_errors + other.character_errors,
            self.characters + other.characters,
        )

    @property
    def wer(self) -> float:
        return self.word_errors / max(1, self.words)

    @property
    def cer(self) -> float:
        return self.character_errors / max(1, self.characters)


def score(reference: str, hypothesis: str) -> Score:
    words = reference.split()
    return Score(distance(words, hypothesis.split()), len(words), distance(reference, hypothesis), len(reference))


def total(references: Sequence[str], hypotheses: Sequence[str]) -> Score:
    return sum((score(r, h) for r, h in zip(references, hypotheses, strict=True)), Score())
