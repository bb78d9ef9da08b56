"""What a long recording costs in words: its sentences heard in it, and each of them alone.

Everything goes the server's way, from samples to words; beside it the rule of the gigaam package. The bundled model
listens, and the voices are those it knows: espeak-ng and festival have to be installed.
"""

from __future__ import annotations

import bisect
import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from asr_core.audio.chunking import ChunkPolicy, merge
from asr_core.audio.segmenter import Segmenter
from asr_core.audio.vad import SileroNetwork, speech_spans
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.text.writer import Writer
from asr_core.types import INT16_SCALE, SAMPLE_RATE, Chunk, Pcm, Span, VadOptions, Word
from benchmarks.alignment import align
from benchmarks.scene import AROUND, LEVELS, NOISE_15, SPOKEN, Said, Scene, scene
from benchmarks.timing import Finding

MINUTES = (10, 30, 60)
BLOCK = 10 * SAMPLE_RATE
NEAR_S = 1.0
"""So near to the border of a chunk a word may suffer from it."""
EXTRA_AT_MOST = dict.fromkeys((LEVELS, NOISE_15), 0.3)
"""Points of word error rate."""

Rule = Callable[[Pcm], Iterable[Chunk]]


def is_measurable() -> bool:
    return all(map(shutil.which, ("espeak-ng", "festival")))


def run(minutes: int) -> Iterator[list[Finding]]:
    """Findings about a recording of so many minutes."""
    recognizer, network = load_recognizer("demo", precision="fp32"), SileroNetwork.load()
    ours, recorded = partial(chunks, network), scene(minutes)
    alone = [transcribed(recognizer, ours(said.alone)) for said in recorded.said]
    for name, rule in {"ours": ours, "upstream's rule": equal_parts}.items():
        cut = list(rule(recorded.pcm))
        borders = sorted(edge for chunk in cut for edge in (chunk.span.start, chunk.span.end))
        comparison = Comparison(recorded, alone, transcribed(recognizer, cut), borders)
        yield comparison.findings(name, has_targets=name == "ours")


def chunks(network: SileroNetwork, pcm: Pcm) -> Iterator[Chunk]:
    """As the server makes them."""
    segmenter = Segmenter(network, ChunkPolicy(), VadOptions())
    for start in range(0, len(pcm), BLOCK):
        yield from segmenter.push(pcm[start : start + BLOCK])
    yield from segmenter.flush()


def equal_parts(pcm: Pcm) -> Iterator[Chunk]:
    """As the gigaam package makes them: what is too long is cut into equal parts; nothing is heard but the spans."""
    policy = ChunkPolicy()
    endless = ChunkPolicy(policy.min_duration, policy.max_duration, len(pcm) + 1, policy.new_chunk_threshold)
    index = itertools.count()
    for span in merge(speech_spans([pcm]), endless):
        n_parts = len(span) // policy.strict_limit + 1
        edges = [span.start + len(span) * part // n_parts for part in range(n_parts + 1)]
        for start, end in itertools.pairwise(edges):
            yield Chunk(next(index), Span(start, end), pcm[start:end], np.empty(0, np.float32))


def transcribed(recognizer: Recognizer, cut: Iterable[Chunk]) -> list[Word]:
    writer, words = Writer(), list[Word]()
    for chunk in cut:
        (hypothesis,) = recognizer.recognize([torch.from_numpy(chunk.pcm.astype(np.float32) / INT16_SCALE)])
        words += [word for segment in writer.write(chunk, hypothesis) for word in segment.words]
    return words


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
        lost = [word for word in self._suffering(lost=True) if self._is_near(word)]
        misheard = [word for word in self._suffering(lost=False) if self._is_near(word)]
        found = [
            Finding(
                f"{rule}: {kind}, word errors beyond those of the sentences alone",
                *(100 * (errors[kind] - self._alone[kind]) / self._words[kind], "points"),
                at_most=EXTRA_AT_MOST.get(kind) if has_targets else None,
            )
            for kind in SPOKEN
        ]
        none = 0.0 if has_targets else None
        found += [
            Finding(f"{rule}: words lost within {NEAR_S:g} s of a chunk's border", len(lost), "", at_most=none),
            Finding(f"{rule}: words misheard there that are right alone", len(misheard), ""),
            Finding(f"{rule}: words invented where nobody speaks", sum(invented.values()), "", at_most=none),
        ]
        if has_targets:
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
            elif j is None or self._heard[j].text != self._said[i].text:
                errors[self._said[i].kind] += 1
        return errors, invented

    def _suffering(self, *, lost: bool) -> Iterator[Reference]:
        """Words that are right alone and here lost, or else misheard."""
        for i, j in self._pairs:
            if i is None or self._said[i].heard_alone_s is None or (j is None) != lost:
                continue
            if j is None or self._heard[j].text != self._said[i].text:
                yield self._said[i]

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
