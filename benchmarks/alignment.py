"""Which word was heard in place of which. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Pairs = list[tuple[int | None, int | None]]
"""Positions in what was said and in what was heard; None: lost, or added."""


def align(said: Sequence[str], heard: Sequence[str]) -> Pairs:
    """With as few insertions, deletions and substitutions as can be (Levenshtein)."""
    codes = {word: code for code, word in enumerate({*said, *heard})}
    columns = np.array([codes[word] for word in heard], np.int32)
    steps = np.arange(len(heard) + 1, dtype=np.int32)
    costs = np.empty((len(said) + 1, len(heard) + 1), np.int32)
    costs[0] = steps
    for i, word in enumerate(said):
        row = costs[i] + 1
        row[1:] = np.minimum(row[1:], costs[i, :-1] + (columns != codes[word]))
        costs[i + 1] = np.minimum.accumulate(row - steps) + steps  # insertions: each costs one step to the right
    return _path(costs, said, heard)


def errors_within(said: str, heard: str) -> int:
    """Of `said`, where `heard` has it best: letters lost, added or changed (Levenshtein, from any letter to any)."""
    costs = [0] * (len(heard) + 1)
    for letter in said:
        before, costs = costs, [costs[0] + 1]
        for j, other in enumerate(heard):
            costs.append(min(before[j] + (letter != other), before[j + 1] + 1, costs[j] + 1))
    return min(costs)


def _path(costs: np.ndarray[tuple[int, int], np.dtype[np.int32]], said: Sequence[str], heard: Sequence[str]) -> Pairs:
    pairs: Pairs = []
    i, j = len(said), len(heard)
    while i or j:
        if i and j and costs[i, j] == costs[i - 1, j - 1] + (said[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and costs[i, j] == costs[i - 1, j] + 1:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]
