"""Words heard in a long recording, beside what was said in it and what of that is heard when it stands alone."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asr_core.types import SAMPLE_RATE, Pcm, Span, Word
from benchmarks.alignment import align, errors_within
from benchmarks.timing import Finding

PLAIN, LEVELS, NO_PAUSE = "plain speech", "levels that drop by 0 to 40 dB", "no pause for 3 minutes"
NOISE_15, NOISE_5 = "noise, 15 dB", "noise, 5 dB"
SPOKEN = (PLAIN, LEVELS, NOISE_15, NOISE_5, NO_PAUSE)
MUSIC, APPLAUSE, NOISE = "music", "applause", "noise alone"

AROUND = SAMPLE_RATE // 2
"""Samples of silence on either side of a sentence that stands alone."""

NEAR_S = 1.0
"""So near to the border of a chunk a word may suffer from it."""
EXTRA_AT_MOST = dict.fromkeys((LEVELS, NOISE_15), 0.3)
"""Points of word error rate."""


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence, where it is in the recording, and among what."""

    label: str
    span: Span
    kind: str
    alone: Pcm
    """Just as loud and in the same noise, `AROUND` samples of silence on either side instead of its neighbours."""


@dataclass(frozen=True, slots=True)
class Scene:
    pcm: Pcm
    said: list[Said]
    unspoken: list[tuple[str, Span]]
    """Where nobody speaks for a long time, and what is heard there instead."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A word that was said."""

    text: str
    kind: str
    heard_alone_s: float | None
    """Where in the recording; None if the model does not hear it even where its sentence is alone."""


def references(said: Said, alone: Sequence[Word]) -> Iterator[Reference]:
    label = said.label.split()
    middles = {
        i: (said.span.start - AROUND) / SAMPLE_RATE + _middle_s(alone[j])
        for i, j in align(label, [word.text for word in alone])
        if i is not None and j is not None and label[i] == alone[j].text
    }
    for i, text in enumerate(label):
        yield Reference(text, said.kind, middles.get(i))


class Comparison:
    """The words of a recording, as they were heard in it, beside those of its sentences alone."""

    def __init__(
        self, recorded: Scene, alone: Sequence[Sequence[Word]], heard: Sequence[Word], borders: Sequence[int]
    ) -> None:
        self._scene, self._heard = recorded, heard
        self._borders_s = [border / SAMPLE_RATE for border in borders]
        self._said = [
            word for said, words in zip(recorded.said, alone, strict=True) for word in references(said, words)
        ]
        self._words = Counter(word.kind for word in self._said)
        self._alone = Counter[str]()
        for said, words in zip(recorded.said, alone, strict=True):
            self._alone[said.kind] += _errors(said.label.split(), [word.text for word in words])
        self._pairs = align([word.text for word in self._said], [word.text for word in heard])

    def findings(self, rule: str, *, has_targets: bool) -> list[Finding]:
        errors, invented = self._count()
        near = [(position, word) for position, word in self._suffering() if self._is_near(word)]
        lost = [word for position, word in near if not self._is_like(word.text, self._between(position))]
        found = [
            Finding(
                f"{rule}: {kind}, word errors beyond those of the sentences alone",
                *(100 * (errors[kind] - self._alone[kind]) / max(self._words[kind], 1), "points"),
                at_most=EXTRA_AT_MOST.get(kind) if has_targets else None,
            )
            for kind in SPOKEN
        ]
        none = 0.0 if has_targets else None
        found += [
            Finding(f"{rule}: words lost within {NEAR_S:g} s of a chunk's border", len(lost), "", at_most=none),
            Finding(f"{rule}: words misheard there that are right alone", len(near) - len(lost), ""),
            Finding(f"{rule}: words invented where nobody speaks", sum(invented.values()), "", at_most=none),
        ]
        if has_targets:
            found += [
                Finding(f"{kind}: standard error of its word errors beyond, by chance", self._error(kind), "points")
                for kind in EXTRA_AT_MOST
            ]
            found += [
                Finding(f"{kind}, {self._words[kind]} words: errors alone", 100 * self._alone[kind] / count, "%")
                for kind, count in self._words.items()
            ]
        return found

    def _count(self) -> tuple[Counter[str], Counter[str]]:
        """Word errors by kind of speech; words by what is heard where nobody speaks."""
        errors, invented = Counter[str](), Counter[str]()
        for i, j in self._pairs:
            if i is None:
                assert j is not None
                kind, spoken = self._kind_at(_middle_s(self._heard[j]))
                (errors if spoken else invented)[kind] += 1
            elif not self._is_right(i, j):
                errors[self._said[i].kind] += 1
        return errors, invented

    def _error(self, kind: str) -> float:
        """By how many points the difference would scatter if words were misheard here or alone by chance (McNemar)."""
        here = {i: self._is_right(i, j) for i, j in self._pairs if i is not None}
        of_kind = [i for i, word in enumerate(self._said) if word.kind == kind]
        n_unlike = sum(here[i] != (self._said[i].heard_alone_s is not None) for i in of_kind)
        return 100 * math.sqrt(n_unlike) / max(len(of_kind), 1)

    def _suffering(self) -> Iterator[tuple[int, Reference]]:
        """Words that are right alone and not here, and where they are in the alignment."""
        for position, (i, j) in enumerate(self._pairs):
            if i is not None and self._said[i].heard_alone_s is not None and not self._is_right(i, j):
                yield position, self._said[i]

    def _is_right(self, i: int | None, j: int | None) -> bool:
        return i is not None and j is not None and self._said[i].text == self._heard[j].text

    def _between(self, position: int) -> str:
        """All letters heard between the right words around a place in the alignment."""
        first = last = position
        while first > 0 and not self._is_right(*self._pairs[first - 1]):
            first -= 1
        while last + 1 < len(self._pairs) and not self._is_right(*self._pairs[last + 1]):
            last += 1
        return "".join(self._heard[j].text for _, j in self._pairs[first : last + 1] if j is not None)

    @staticmethod
    def _is_like(word: str, heard: str) -> bool:
        """Whether `word` is heard somewhere, by and large: in two of three letters."""
        return 3 * errors_within(word, heard) <= len(word)

    def _is_near(self, word: Reference) -> bool:
        assert word.heard_alone_s is not None
        at = bisect.bisect(self._borders_s, word.heard_alone_s)
        return any(abs(edge - word.heard_alone_s) < NEAR_S for edge in self._borders_s[max(at - 1, 0) : at + 1])

    def _kind_at(self, seconds: float) -> tuple[str, bool]:
        """What there is, and whether it is speech."""
        at = round(seconds * SAMPLE_RATE)
        for kind, span in self._scene.unspoken:
            if span.start <= at < span.end:
                return kind, False
        nearest = min(self._scene.said, key=lambda said: max(said.span.start - at, at - said.span.end))
        return nearest.kind, True


def _middle_s(word: Word) -> float:
    return (word.start_s + word.end_s) / 2


def _errors(said: Sequence[str], heard: Sequence[str]) -> int:
    return sum(i is None or j is None or said[i] != heard[j] for i, j in align(said, heard))
