"""A small beam over an RNN-T where spelling a keyword is worth a bonus.

Outside of keywords a path does what the greedy search does. Where a word may begin, paths split off that spell a
keyword, and are given up once they are behind by more than `Trie.allowed`. What has come to its keyword's end goes on
outside, with the bonus, until one of two paths that end alike is the better one. So where no keyword is heard, the
result is the greedy one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from asr_core.model.heads import LOOKAHEAD, MAX_SYMBOLS, RnntHead
from asr_core.model.trie import Alphabet, Entry, Trie
from asr_core.types import Token

OUTSIDE = 0
"""The trie's root: a path that spells no keyword at the moment."""

MOST_INSIDE, MOST_OUTSIDE = 8, 3
"""Paths kept after a frame."""

ALIKE = 3
"""Paths outside whose last so many labels are the same have the same future, as far as anybody can tell."""

MOST_OF_KEYWORD = 3
"""Labels of a keyword on one frame."""


@dataclass(frozen=True, slots=True)
class _Emitted:
    """A label and those before it."""

    before: _Emitted | None
    label: int
    frame: int
    log_prob: float

    def last(self, n: int) -> tuple[int, ...]:
        rest = self.before.last(n - 1) if self.before and n > 1 else ()
        return (*rest, self.label)


@dataclass(frozen=True, slots=True)
class Spelled:
    """A keyword on the tokens `first` to `end`."""

    entry: Entry
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class _Path:
    score: float
    node: int
    predicted: Tensor
    """What the joint network needs of the labels, [joint]."""
    state: Tensor
    emitted: _Emitted | None = None
    n_emitted: int = 0
    began: int = 0
    """The number of labels before the keyword that it spells."""
    spelled: tuple[Spelled, ...] = ()

    def key(self) -> tuple[int, ...]:
        return self.emitted.last(ALIKE) if self.emitted else ()


@dataclass(frozen=True, slots=True)
class _Step:
    """A label that a path may emit, and the node that this leads to."""

    path: _Path
    label: int
    log_prob: float
    node: int
    began: int

    @property
    def score(self) -> float:
        return self.path.score + self.log_prob


Candidate = TypeVar("Candidate", _Path, _Step)


class RnntSearch:
    """The paths through one recording's frames."""

    def __init__(self, head: RnntHead, alphabet: Alphabet, trie: Trie) -> None:
        self._head, self._alphabet, self._trie = head, alphabet, trie
        self._children = trie.branches
        lead = self._children[OUTSIDE].get(alphabet.space, OUTSIDE) if alphabet.space is not None else OUTSIDE
        self._lead = lead
        """The node behind the space that begins a word; its children begin keywords wherever a space has been."""
        starts = self._children[OUTSIDE] | (self._children[lead] if lead else {})
        self._starts = torch.tensor(sorted(starts), dtype=torch.long)
        self._least = -max((float(trie.allowed[node]) for node in starts.values()), default=0.0)
        """Of a label's log-probability, for a path to begin with it."""

    def decode(self, encoded: Tensor) -> tuple[tuple[Token, ...], list[Spelled]]:
        """[T, D] → tokens, and which of them are keywords."""
        frames = self._head.joint_frames(encoded)
        paths = [_Path(0.0, OUTSIDE, *self._head.start())]
        frame = 0
        while frame < len(frames):
            if len(paths) == 1 and paths[0].node == OUTSIDE:
                paths, frame = self._skip(paths[0], frames, frame)
                if frame == len(frames):
                    break
            paths = self._kept(list(self._on_frame(paths, frames[frame], frame)))
            frame += 1
        best = max((self._ended(path) for path in paths), key=lambda path: path.score)
        return self._tokens(best.emitted), list(best.spelled)

    def _skip(self, path: _Path, frames: Tensor, frame: int) -> tuple[list[_Path], int]:
        """Past the frames on which this path is alone and has nothing but the blank to emit."""
        ahead = self._head.joint(frames[frame : frame + LOOKAHEAD], path.predicted).log_softmax(dim=1)
        busy = ahead.argmax(dim=1) != self._alphabet.blank
        busy |= (ahead[:, self._starts] > self._least).any(dim=1)
        n_blank = int(busy.nonzero()[0, 0]) if busy.any() else len(ahead)
        score = path.score + float(ahead[:n_blank, self._alphabet.blank].sum())
        return [replace(path, score=score)], frame + n_blank

    def _on_frame(self, paths: Sequence[_Path], encoded: Tensor, frame: int) -> Iterator[_Path]:
        """What the paths become on a frame, their blank on it included."""
        n_symbols = 0
        while paths:
            log_probs = self._head.joint(encoded, torch.stack([path.predicted for path in paths])).log_softmax(dim=1)
            steps: list[_Step] = []
            best_outside = max((path.score for path in paths if path.node == OUTSIDE), default=float("-inf"))
            for path, scores in zip(paths, log_probs.tolist(), strict=True):
                blank = scores[self._alphabet.blank]
                winner = max(range(len(scores)), key=scores.__getitem__)
                if path.node != OUTSIDE:
                    yield replace(path, score=path.score + blank)
                    steps += self._inside(path, scores, best_outside)
                elif winner == self._alphabet.blank or n_symbols == MAX_SYMBOLS:
                    yield replace(path, score=path.score + blank)
                    steps += self._entering(path, scores, best_outside)
                else:
                    steps.append(_Step(path, winner, scores[winner], OUTSIDE, 0))
                    steps += self._entering(path, scores, best_outside)
            n_symbols += 1
            if n_symbols >= MOST_OF_KEYWORD:
                steps = [step for step in steps if step.node == OUTSIDE]
            paths = self._taken(self._pruned(steps), frame)

    def _inside(self, path: _Path, scores: Sequence[float], best: float) -> Iterator[_Step]:
        for label, child in self._children[path.node].items():
            if path.score + scores[label] + self._trie.allowed[child] > best:
                yield _Step(path, label, scores[label], child, path.began)
        if self._trie.entry[path.node] < 0:
            return
        for label in self._word_ends(scores):
            if path.score + scores[label] + self._trie.bonus[path.node] > best - self._trie.allowed[path.node]:
                yield _Step(self._ended(path), label, scores[label], OUTSIDE, 0)

    def _word_ends(self, scores: Sequence[float]) -> list[int]:
        """Labels that may follow a keyword: a space, or the likeliest if it begins a word or is no letter."""
        winner = max((label for label in range(len(scores) - 1)), key=scores.__getitem__)
        ends = [winner] if self._alphabet.ends_word[winner] else []
        space = self._alphabet.space
        return ends if space is None or space == winner else [*ends, space]

    def _entering(self, path: _Path, scores: Sequence[float], best: float) -> Iterator[_Step]:
        after_space = path.emitted.label == self._alphabet.space if path.emitted else self._alphabet.bare
        nodes = [OUTSIDE, self._lead] if after_space and self._lead else [OUTSIDE]
        for node in nodes:
            for label, child in self._children[node].items():
                if path.score + scores[label] + self._trie.allowed[child] > best:
                    yield _Step(path, label, scores[label], child, path.n_emitted)

    def _taken(self, steps: Sequence[_Step], frame: int) -> list[_Path]:
        """The paths after these steps; outside, the prediction network computes what it does in the greedy search."""
        outside = [step for step in steps if step.node == OUTSIDE]
        inside = [step for step in steps if step.node != OUTSIDE]
        predictions = [self._head.predict(step.label, step.path.state) for step in outside]
        if inside:
            labels = torch.tensor([step.label for step in inside])
            states = torch.stack([step.path.state for step in inside])
            predictions += zip(*self._head.predict_all(labels, states), strict=True)
        return [
            replace(
                step.path,
                score=step.score,
                node=step.node,
                predicted=predicted,
                state=state,
                emitted=_Emitted(step.path.emitted, step.label, frame, step.log_prob),
                n_emitted=step.path.n_emitted + 1,
                began=step.began,
            )
            for step, (predicted, state) in zip([*outside, *inside], predictions, strict=True)
        ]

    def _ended(self, path: _Path) -> _Path:
        """The path outside again: with its bonus if its keyword is complete."""
        index = int(self._trie.entry[path.node]) if path.node else -1
        if index < 0:
            return replace(path, node=OUTSIDE)
        spelled = Spelled(self._trie.entries[index], path.began, path.n_emitted)
        score = path.score + spelled.entry.bonus
        return replace(path, score=score, node=OUTSIDE, spelled=(*path.spelled, spelled))

    def _pruned(self, paths: Sequence[Candidate]) -> list[Candidate]:
        outside: list[Candidate] = [path for path in paths if path.node == OUTSIDE]
        inside: list[Candidate] = sorted(
            (path for path in paths if path.node != OUTSIDE), key=self._promise, reverse=True
        )
        return outside + inside[:MOST_INSIDE]

    def _kept(self, paths: list[_Path]) -> list[_Path]:
        """Of paths outside that end alike the best, of all the most promising."""
        outside: dict[tuple[int, ...], _Path] = {}
        for path in paths:
            if path.node == OUTSIDE:
                rival = outside.get(path.key())
                if rival is None or path.score > rival.score:
                    outside[path.key()] = path
        best = sorted(outside.values(), key=lambda path: path.score, reverse=True)[:MOST_OUTSIDE]
        inside: dict[tuple[int, int], _Path] = {}
        for path in paths:
            if path.node != OUTSIDE and path.score + self._trie.allowed[path.node] > best[0].score:
                rival = inside.get((path.node, path.began))
                if rival is None or path.score > rival.score:
                    inside[path.node, path.began] = path
        return self._pruned([*best, *inside.values()])

    def _promise(self, path: _Path | _Step) -> float:
        return float(path.score + self._trie.allowed[path.node])

    def _tokens(self, emitted: _Emitted | None) -> tuple[Token, ...]:
        tokens = []
        while emitted:
            tokens.append(Token(self._alphabet.labels[emitted.label], emitted.frame, emitted.log_prob))
            emitted = emitted.before
        return tuple(tokens[::-1])
