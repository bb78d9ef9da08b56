"""What is listened for, as labels of the model: a trie of spellings, and what labels mean for words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Entry:
    """One spelling of a keyword."""

    labels: tuple[int, ...]
    """From the one that begins a word: a space, or a piece that begins with one."""
    bonus: float
    """Nats that a path gains by spelling it as words of its own."""
    written: str = ""
    """What the transcript has in its place; empty: what the labels spell."""


class Alphabet:
    """The labels of a model; the blank comes after the last."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = labels
        self.blank = len(labels)
        self.space = labels.index(" ") if " " in labels else None
        """The label that is nothing but the space between two words."""
        self.bare = not any(label.startswith(" ") and label != " " for label in labels)
        """Whether the first word is spelled without a space before it."""

    @cached_property
    def ends_word(self) -> Bools:
        """[V] whether a label shows that the word before it is over: it begins another, or is no letter."""
        over = [label.startswith(" ") or bool(label and not any(map(str.isalnum, label))) for label in self.labels]
        return np.array([*over, False])


class Trie:
    """Entries that share their beginnings. Node 0 is the root; a node's children have consecutive numbers."""

    def __init__(self, entries: Iterable[Entry], per_label_slack: float) -> None:
        """A path inside the trie may be behind by `per_label_slack` nats, and by what it has earned of the bonus."""
        self.entries: list[Entry] = []
        levels = self._levels(entries)
        self.label: Ints = np.array([label for _, label, _ in levels], np.int64)
        self.parent: Ints = np.array([parent for parent, _, _ in levels], np.int64)
        n_nodes = len(levels)
        self.n_children: Ints = np.bincount(self.parent[1:], minlength=n_nodes).astype(np.int64)
        self.first_child: Ints = 1 + np.concatenate([[0], np.cumsum(self.n_children)[:-1]]).astype(np.int64)
        self.entry: Ints = np.full(n_nodes, -1, np.int64)
        for node, (_, _, entry) in enumerate(levels):
            if entry is not None:
                self.entry[node] = len(self.entries)
                self.entries.append(entry)
        self.bonus: Floats = np.array([entry.bonus if entry else -np.inf for _, _, entry in levels])
        """Of the entry that ends at a node."""
        self.allowed: Floats = self._allowed(per_label_slack)
        """How far a path at a node may be behind the best one before it is given up, nats."""

    def __len__(self) -> int:
        return len(self.label)

    def children(self, nodes: Ints) -> tuple[Ints, Ints]:
        """The children of `nodes`, and for each of them its parent's position in `nodes`."""
        counts = self.n_children[nodes]
        parents = np.repeat(np.arange(len(nodes)), counts)
        offsets = np.arange(len(parents)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.first_child[nodes][parents] + offsets, parents

    @cached_property
    def branches(self) -> list[dict[int, int]]:
        """By node: its children by their labels."""
        branches: list[dict[int, int]] = [{} for _ in range(len(self))]
        for node in range(1, len(self)):
            branches[self.parent[node]][int(self.label[node])] = node
        return branches

    @staticmethod
    def _levels(entries: Iterable[Entry]) -> list[tuple[int, int, Entry | None]]:
        """(parent, label, entry) of each node, breadth first; of entries spelled alike the one with most bonus."""
        best: dict[tuple[int, ...], Entry] = {}
        for entry in entries:
            if entry.labels and entry.bonus > best.get(entry.labels, Entry((), 0.0)).bonus:
                best[entry.labels] = entry
        nodes: list[tuple[int, int, Entry | None]] = [(0, -1, None)]
        level: list[tuple[int, list[Entry]]] = [(0, list(best.values()))]
        depth = 0
        while level:
            following = []
            for parent, below in level:
                branches: dict[int, list[Entry]] = {}
                for entry in below:
                    if len(entry.labels) > depth:
                        branches.setdefault(entry.labels[depth], []).append(entry)
                for label, branch in branches.items():
                    ending = next((entry for entry in branch if len(entry.labels) == depth + 1), None)
                    following.append((len(nodes), branch))
                    nodes.append((parent, label, ending))
            level, depth = following, depth + 1
        return nodes

    def _allowed(self, slack: float) -> Floats:
        ceiling = np.where(self.entry >= 0, self.bonus, 0.0)
        share = np.zeros(len(self))  # of the bonus for each label, the most generous entry's
        for entry, node in sorted((int(self.entry[node]), int(node)) for node in np.flatnonzero(self.entry >= 0)):
            bonus, per_label = self.entries[entry].bonus, self.entries[entry].bonus / len(self.entries[entry].labels)
            while node:
                ceiling[node], share[node] = max(ceiling[node], bonus), max(share[node], per_label)
                node = int(self.parent[node])  # noqa: PLW2901 - up to the root
        depth = np.zeros(len(self))
        for node in range(1, len(self)):
            depth[node] = depth[self.parent[node]] + 1
        return np.minimum(ceiling, share * depth + slack)
