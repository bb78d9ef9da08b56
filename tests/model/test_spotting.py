"""The search for the best path with keywords, against every path there is."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr_core.model.alignment import aligned
from asr_core.model.spotting import spot
from asr_core.model.trie import Alphabet, Entry, Trie

LETTERS = (" ", "а", "б")
PIECES = (" а", "б", " аб", "б.", ".")


def log_probs(n_frames: int, n_labels: int, seed: int, sharpness: float) -> NDArray[np.float32]:
    scores = np.random.default_rng(seed).normal(size=(n_frames, n_labels + 1)) * sharpness
    normalized: NDArray[np.float32] = (scores - np.log(np.exp(scores).sum(1, keepdims=True))).astype(np.float32)
    return normalized


def collapsed(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def bonus_of(labels: tuple[int, ...], alphabet: Alphabet, entries: list[Entry]) -> float:
    """The most that non-overlapping keywords, each of them whole words, bring to a sequence of labels."""
    ends = [*map(bool, alphabet.ends_word[list(labels)]), True] if labels else [True]
    best = [0.0] * (len(labels) + 1)
    for end in range(1, len(labels) + 1):
        best[end] = best[end - 1]
        for entry in entries:
            for spelled in {entry.labels, entry.labels[1:] if entry.labels[0] == alphabet.space else entry.labels}:
                begin = end - len(spelled)
                if not spelled or begin < 0 or labels[begin:end] != spelled or not ends[end]:
                    continue
                bare = len(spelled) < len(entry.labels)
                if not bare or (alphabet.bare if begin == 0 else labels[begin - 1] == alphabet.space):
                    best[end] = max(best[end], best[begin] + entry.bonus)
    return best[-1]


def exhaustive(scores: NDArray[np.float32], alphabet: Alphabet, entries: list[Entry]) -> float:
    every = itertools.product(range(scores.shape[1]), repeat=len(scores))
    frames = np.arange(len(scores))
    return max(
        float(scores[frames, list(path)].sum(dtype=float))
        + bonus_of(collapsed(path, alphabet.blank), alphabet, entries)
        for path in every
    )


def found(scores: NDArray[np.float32], alphabet: Alphabet, entries: list[Entry]) -> float:
    """The score of the path that the search takes."""
    path = scores.argmax(1)
    matches = spot(scores, alphabet, Trie(entries, math.inf), certain=math.inf)
    for match in matches:
        path[match.begin : match.end] = aligned(scores[match.begin : match.end], match.labels, match.last)
    taken = float(scores[np.arange(len(scores)), path].sum(dtype=float))
    claimed = taken + sum(match.entry.bonus for match in matches)
    actual = taken + bonus_of(collapsed(tuple(path.tolist()), alphabet.blank), alphabet, entries)
    assert claimed <= actual + 1e-6  # every match is one in the text
    return actual


words = st.text("аб", min_size=1, max_size=3)
spelled = st.one_of(words, st.tuples(words, words).map(" ".join)).map(
    lambda text: tuple(LETTERS.index(letter) for letter in f" {text}")
)
bonuses = st.floats(0.5, 8)
letter_entries = st.lists(st.builds(Entry, spelled, bonuses), min_size=1, max_size=4, unique_by=lambda e: e.labels)


@given(letter_entries, st.integers(1, 6), st.integers(0, 10**6), st.floats(0.3, 4))
@hypothesis_settings(max_examples=60)
def test_no_path_is_better_than_the_one_found(entries: list[Entry], n_frames: int, seed: int, sharpness: float) -> None:
    scores, alphabet = log_probs(n_frames, len(LETTERS), seed, sharpness), Alphabet(LETTERS)
    assert math.isclose(found(scores, alphabet, entries), exhaustive(scores, alphabet, entries), abs_tol=1e-4)


def piece_entries(*spelled: tuple[int, ...]) -> st.SearchStrategy[list[Entry]]:
    return st.lists(
        st.builds(Entry, st.sampled_from(spelled), bonuses),
        min_size=1,
        max_size=3,
        unique_by=lambda entry: entry.labels,
    )


LONG = ((0, 1), (2, 1), (0, 3), (0, 1, 2), (2, 0))


@given(piece_entries(*LONG), st.integers(1, 5), st.integers(0, 10**6), st.floats(0.3, 4))
@hypothesis_settings(max_examples=60)
def test_with_pieces_nothing_but_keywords_differs_from_the_greedy_path_and_it_is_better(
    entries: list[Entry], n_frames: int, seed: int, sharpness: float
) -> None:
    """Where a piece belongs to the word before it, that word is left alone: so this is not the best of all paths."""
    scores, alphabet = log_probs(n_frames, len(PIECES), seed, sharpness), Alphabet(PIECES)
    greedy = tuple(scores.argmax(1).tolist())
    of_greedy = float(scores.max(1).sum(dtype=float)) + bonus_of(collapsed(greedy, alphabet.blank), alphabet, entries)
    assert of_greedy - 1e-4 <= found(scores, alphabet, entries) <= exhaustive(scores, alphabet, entries) + 1e-4


@given(piece_entries((0,), (2,), *LONG), st.integers(1, 8), st.integers(0, 10**6), st.floats(0.3, 4))
def test_keywords_of_one_piece_are_in_the_text_as_often_as_they_are_found(
    entries: list[Entry], n_frames: int, seed: int, sharpness: float
) -> None:
    found(log_probs(n_frames, len(PIECES), seed, sharpness), Alphabet(PIECES), entries)
