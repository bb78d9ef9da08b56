"""Which frames spell which labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asr_core.model.trie import Ints


def aligned(log_probs: NDArray[np.float32], labels: Sequence[int], last: int) -> Ints:
    """CTC's forced alignment: the best path through [T, V] that spells `labels` and has `last` on its last frame."""
    blank = log_probs.shape[1] - 1
    states = np.full(2 * len(labels) + 1, blank)  # blanks around the labels
    states[1::2] = labels
    skips = np.zeros(len(states), bool)  # from label to label without a blank
    skips[3::2] = states[3::2] != states[1:-2:2]
    scores = np.full(len(states), -np.inf)
    scores[:2] = log_probs[0, states[:2]]
    origins = np.zeros((len(log_probs), len(states)), np.int64)
    for frame in range(1, len(log_probs)):
        ways = np.full((3, len(states)), -np.inf)
        ways[0], ways[1, 1:] = scores, scores[:-1]
        ways[2, 2:] = np.where(skips[2:], scores[:-2], -np.inf)
        origins[frame] = ways.argmax(0)
        scores = ways.max(0) + log_probs[frame, states]
    state = len(states) - 1 - int(last != blank)
    path = np.empty(len(log_probs), np.int64)
    for frame in range(len(log_probs) - 1, -1, -1):
        path[frame] = states[state]
        state -= origins[frame, state]
    return path
