"""The best CTC path where spelling a keyword is worth a bonus.

Everywhere outside of keywords the best path is the greedy one, frame by frame. So the search is one of time spans: a
Viterbi pass over the trie of spellings, against the greedy path's score, that begins and ends where words do. For a
model that writes characters it is exact but for what `Trie.allowed` gives up; one that writes pieces may have better
paths that change words beside a keyword, which are none of our business. Where nothing is found the greedy path is the
result, bit for bit.

Scores are deficits: log-probabilities minus those of the greedy path, so that the greedy path is at 0 everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_core.model.trie import Alphabet, Bools, Entry, Floats, Ints, Trie

CERTAIN = 12.0
"""Nats by which the blank must lead on a frame for nothing else to be looked at there."""


@dataclass(frozen=True, slots=True)
class Match:
    """A keyword on the frames `begin` to `end`; the labels that it has there, spaces of its own included."""

    entry: Entry
    begin: int
    end: int
    labels: tuple[int, ...]
    last: int
    """The label on its last frame, or the blank."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a path came out of the trie."""

    node: int
    began: int
    spaced: bool
    """Whether it brought the space behind the keyword along."""
    label: int
    """On its last frame."""


def spot(log_probs: NDArray[np.float32], alphabet: Alphabet, trie: Trie, certain: float = CERTAIN) -> list[Match]:
    """Keywords on the best path through [T, V], in order; they do not overlap."""
    search = _Search(log_probs, alphabet, trie)
    blanks = search.certain_blanks(certain)
    for frame in range(len(log_probs)):
        if blanks[frame]:
            search.skip(frame)
        else:
            search.step(frame)
    return search.matches()


class _Search:
    """Scores before each frame: of paths inside the trie by node, and of those outside by whether a word is over.

    `began` is twice the frame that a path went into the trie at, plus 1 if it brought the space along that begins the
    keyword.
    """

    def __init__(self, log_probs: NDArray[np.float32], alphabet: Alphabet, trie: Trie) -> None:
        n_frames, n_nodes = len(log_probs), len(trie)
        self._alphabet, self._trie, self._log_probs = alphabet, trie, log_probs
        self._winners = log_probs.argmax(1)
        self._deficits = log_probs.astype(np.float64) - log_probs.max(1, keepdims=True)
        self._word_ends = self._followed_by_word_end()
        self._in_label, self._in_blank = np.full(n_nodes, -np.inf), np.full(n_nodes, -np.inf)
        self._label_began, self._blank_began = np.zeros(n_nodes, np.int64), np.zeros(n_nodes, np.int64)
        self._active: Ints = np.empty(0, np.int64)
        self._first, _ = trie.children(np.zeros(1, np.int64))
        first_space = self._first[trie.label[self._first] == alphabet.space] if alphabet.space is not None else []
        self._lead = int(first_space[0]) if len(first_space) else None
        """The node of a space before a keyword."""
        self._over, self._within = np.full(n_frames + 1, -np.inf), np.full(n_frames + 1, -np.inf)
        """[T + 1] of paths outside: the last label is a space; it is anything else."""
        (self._over if alphabet.bare else self._within)[0] = 0.0
        self._to_over: dict[int, _Ending] = {}
        self._to_within: dict[int, _Ending] = {}

    def certain_blanks(self, lead: float) -> Bools:
        others = np.delete(self._deficits, self._alphabet.blank, axis=1)
        certain: Bools = others.max(1) < -lead
        return certain

    def skip(self, frame: int) -> None:
        """The frame is blank, whatever the path."""
        active = self._active
        ahead = active[self._in_label[active] > self._in_blank[active]]
        self._in_blank[ahead], self._blank_began[ahead] = self._in_label[ahead], self._label_began[ahead]
        self._in_label[active] = -np.inf
        self._stay_outside(frame)

    def step(self, frame: int) -> None:
        trie, deficits = self._trie, self._deficits[frame]
        self._enter_after_space(frame)
        active = self._active
        self._stay_outside(frame)
        self._leave_with_space(frame)
        in_label, label_began = self._in_label[active], self._label_began[active]
        in_blank, blank_began = self._in_blank[active], self._blank_began[active]
        children, parents = trie.children(active)
        differs = trie.label[children] != trie.label[active][parents]
        came = np.where(differs, in_label[parents], -np.inf)
        came_began = label_began[parents]
        through_blank = in_blank[parents] > came
        came[through_blank] = in_blank[parents][through_blank]
        came_began[through_blank] = blank_began[parents][through_blank]
        # What stays in its node: in the label as it is, into the blank from either.
        blanked = in_label > in_blank
        self._in_blank[active] = np.where(blanked, in_label, in_blank) + deficits[self._alphabet.blank]
        self._blank_began[active] = np.where(blanked, label_began, blank_began)
        self._arrive(children, came, came_began)
        start = np.full(len(self._first), max(self._over[frame], self._within[frame]))
        if frame:
            start[trie.label[self._first] == self._last_outside(frame)] = -np.inf  # it would be the same label still
        self._arrive(self._first, start, np.full(len(self._first), 2 * frame + 1))
        touched = np.unique(np.concatenate([active, children, self._first]))
        self._in_label[touched] += deficits[trie.label[touched]]
        self._active = touched
        self._leave_before_word_end(frame)
        self._prune(frame)

    def _enter_after_space(self, frame: int) -> None:
        """Where the last label outside is a space, a keyword need not bring one."""
        lead, score = self._lead, self._over[frame]
        if lead is None or score < self._in_blank[lead] or score == -np.inf:
            return
        self._in_blank[lead], self._blank_began[lead] = score, 2 * frame
        if lead not in self._active:
            self._active = np.append(self._active, lead)

    def _arrive(self, nodes: Ints, scores: Floats, began: Ints) -> None:
        better = scores > self._in_label[nodes]
        chosen = nodes[better]
        self._in_label[chosen], self._label_began[chosen] = scores[better], began[better]

    def _stay_outside(self, frame: int) -> None:
        """The greedy path goes on; where its label is no blank, that says whether a word is over."""
        winner = self._winners[frame]
        over, within = self._over[frame], self._within[frame]
        if winner == self._alphabet.blank:
            self._over[frame + 1], self._within[frame + 1] = over, within
        elif winner == self._alphabet.space:
            self._over[frame + 1] = max(over, within)
        else:
            self._within[frame + 1] = max(over, within)

    def _leave_with_space(self, frame: int) -> None:
        """A keyword that was complete before `frame`, which is the space behind it."""
        if self._alphabet.space is None:
            return
        nodes = self._complete()
        scores = np.maximum(self._in_label[nodes], self._in_blank[nodes]) + self._trie.bonus[nodes]
        ending = self._best(nodes, scores + self._deficits[frame][self._alphabet.space], self._over[frame + 1])
        if ending:
            self._over[frame + 1], node = ending
            _, began = self._last(node)
            self._to_over[frame + 1] = _Ending(node, began, True, self._alphabet.space)

    def _leave_before_word_end(self, frame: int) -> None:
        """A keyword that is complete on `frame`, behind which the greedy path begins another word, or none."""
        if not self._word_ends[frame]:
            return
        nodes = self._complete()
        in_label = self._in_label[nodes]
        following = self._winners[frame + 1] if frame + 1 < len(self._winners) else None
        if following is not None:  # it would be the same label still
            in_label = np.where(self._trie.label[nodes] == following, -np.inf, in_label)
        scores = np.maximum(in_label, self._in_blank[nodes]) + self._trie.bonus[nodes]
        if ending := self._best(nodes, scores, self._within[frame + 1]):
            self._within[frame + 1], node = ending
            last, began = self._last(node, following)
            self._to_within[frame + 1] = _Ending(node, began, False, last)

    def _complete(self) -> Ints:
        return self._active[self._trie.entry[self._active] >= 0]

    def _last_outside(self, frame: int) -> int:
        """The label on the frame before `frame`, of the best path outside."""
        over = self._over[frame] >= self._within[frame]
        ending = (self._to_over if over else self._to_within).get(frame)
        return ending.label if ending else int(self._winners[frame - 1])

    def _last(self, node: int, but: int | None = None) -> tuple[int, int]:
        """The label, other than `but`, on the last frame of the best path to `node`, and when that began."""
        label = int(self._trie.label[node])
        if label != but and self._in_label[node] > self._in_blank[node]:
            return label, int(self._label_began[node])
        return self._alphabet.blank, int(self._blank_began[node])

    @staticmethod
    def _best(nodes: Ints, scores: Floats, rival: float) -> tuple[float, int] | None:
        if not len(nodes):
            return None
        best = int(scores.argmax())
        return (float(scores[best]), int(nodes[best])) if scores[best] > rival else None

    def _prune(self, frame: int) -> None:
        active = self._active
        outside = max(self._over[frame + 1], self._within[frame + 1])
        inside = np.maximum(self._in_label[active], self._in_blank[active])
        keep = inside + self._trie.allowed[active] > outside
        dropped = active[~keep]
        self._in_label[dropped] = self._in_blank[dropped] = -np.inf
        self._active = active[keep]

    def _followed_by_word_end(self) -> Bools:
        """[T] whether the next label of the greedy path after a frame ends the word before it; so does the end."""
        ends = np.empty(len(self._winners), bool)
        following = True
        for frame in range(len(ends) - 1, -1, -1):
            ends[frame] = following
            if self._winners[frame] != self._alphabet.blank:
                following = bool(self._alphabet.ends_word[self._winners[frame]])
        return ends

    def matches(self) -> list[Match]:
        found: list[Match] = []
        if not self._to_over and not self._to_within:
            return found
        frame = len(self._winners)
        over = self._over[frame] >= self._within[frame]
        while frame:
            ending = (self._to_over if over else self._to_within).get(frame)
            if ending:
                begin, brought = divmod(ending.began, 2)
                found.append(self._match(ending, begin, frame, bool(brought)))
                frame, over = begin, not brought or self._over[begin] >= self._within[begin]
            else:
                frame -= 1
                if self._winners[frame] != self._alphabet.blank:
                    over = bool(self._over[frame] >= self._within[frame])
        return found[::-1]

    def _match(self, ending: _Ending, begin: int, end: int, brought: bool) -> Match:
        entry = self._trie.entries[self._trie.entry[ending.node]]
        after_space = not brought and entry.labels[0] == self._alphabet.space
        labels = entry.labels[1:] if after_space else entry.labels
        space = self._alphabet.space
        labels = (*labels, space) if ending.spaced and space is not None else labels
        return Match(entry, begin, end, labels, ending.label)
