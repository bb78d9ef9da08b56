"""PURE: voiceprints → speakers, by agglomerative clustering: whoever is most alike is joined first.

The likeness of two clusters is the mean of that of their members (average linkage), which sums tell: so a cluster is
the sum of its voiceprints, however many they are. Of more than `MOST`, runs are clustered by themselves first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Weights = NDArray[np.float32]
Prints = Sequence[NDArray[np.int8] | NDArray[np.float32]]
"""Voiceprints, [N, D] in all, of any length, in blocks: those of ten hours are never copied as a whole."""

ONE_VOICE = 0.62
"""Mean likeness from which on two clusters are one speaker: that of one voice's windows is 0.75 ± 0.06, that of two
voices' 0.45 ± 0.08."""

SURELY_ONE_VOICE = 0.75

IDENTICAL = 2.0
"""More alike than any two are: they are joined while there are too many."""

MOST = 400
"""Clusters that are compared with each other, and for how few they are exchanged when there are more."""
FEW = 40

LEAST, LEAST_SHARE = 1.2, 0.1
"""Windows, and their share in all, that make a speaker; less is somebody else's odd sound."""

ROUNDS = 5


def speakers(prints: Prints, weights: Weights, n_speakers: int | None = None) -> Vectors:
    """What each speaker sounds like, [K, D], each of length 1: as many as told, or as there seem to be.

    `prints` are voiceprints in order of time; `weights`, [N], how much each of them says: it may be nothing.
    """
    sums, masses = _summed(prints, weights)
    while len(sums) > MOST:
        runs = [slice(at, at + MOST) for at in range(0, len(sums), MOST)]
        parts = [joined(sums[run], masses[run], SURELY_ONE_VOICE, FEW) for run in runs]
        sums, masses = (np.concatenate(part) for part in zip(*parts, strict=True))
    centres = _normalized(_found(sums, masses, n_speakers))
    for _ in range(ROUNDS if len(centres) > 1 else 0):
        members = np.zeros_like(centres)
        for run, here in _runs(prints):
            np.add.at(members, (here @ centres.T).argmax(axis=1), here * weights[run, None])
        centres = _normalized(np.where(members.any(axis=1, keepdims=True), members, centres))
    return centres


def likeness(prints: Prints, centres: Vectors) -> Vectors:
    """How like each speaker, [K, D], each voiceprint is: [N, K]."""
    return np.concatenate([here @ centres.T for _, here in _runs(prints)])


def packed(prints: Vectors) -> NDArray[np.int8]:
    """Voiceprints, [N, D], in a quarter of the memory: the cosine of each with itself stays above 0.999."""
    largest = np.abs(prints).max(axis=1, keepdims=True, initial=1e-9)
    rounded: NDArray[np.int8] = np.rint(prints * (127 / largest)).astype(np.int8)
    return rounded


def _summed(prints: Prints, weights: Weights) -> tuple[Vectors, Weights]:
    """The voiceprints that say something, each a cluster; joined in runs where they are more than `MOST`."""
    parts = []
    for run, here in _runs(prints):
        chosen = weights[run] > 0
        masses = weights[run][chosen]
        sums = here[chosen] * masses[:, None]
        parts.append((sums, masses) if len(weights) <= MOST else joined(sums, masses, SURELY_ONE_VOICE, FEW))
    sums, masses = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sums, masses


def _runs(prints: Prints) -> Iterator[tuple[slice, Vectors]]:
    """Neighbouring blocks as one, `MOST` voiceprints or what a block alone has, and which of all they are."""
    held: list[NDArray[np.int8] | NDArray[np.float32]] = []
    start = end = 0
    for block in prints:
        if held and end - start + len(block) > MOST:
            yield slice(start, end), _normalized(np.concatenate(held).astype(np.float32))
            held, start = [], end
        held.append(block)
        end += len(block)
    if held:
        yield slice(start, end), _normalized(np.concatenate(held).astype(np.float32))


def _found(sums: Vectors, masses: Weights, n_speakers: int | None) -> Vectors:
    """The sums of the clusters that are speakers."""
    clusters, cluster_masses = joined(sums, masses, ONE_VOICE, len(sums))
    enough = cluster_masses >= min(LEAST, LEAST_SHARE * cluster_masses.sum())
    if n_speakers is None:
        speaking: Vectors = clusters[enough]
        return speaking
    if enough.sum() >= n_speakers:
        return joined(clusters[enough], cluster_masses[enough], IDENTICAL, n_speakers)[0]
    return joined(sums, masses, IDENTICAL, n_speakers)[0]


def joined(sums: Vectors, masses: Weights, likeness: float, most: int) -> tuple[Vectors, Weights]:
    """Clusters, by their sums [N, D] and masses [N], joined while two are at least so alike or there are too many."""
    sums, masses = sums.copy(), masses.copy()
    alike = (sums @ sums.T) / np.outer(masses, masses)
    np.fill_diagonal(alike, -np.inf)
    left = np.ones(len(sums), bool)
    for n_left in range(len(sums), 1, -1):
        one, other = divmod(int(alike.argmax()), len(sums))
        if n_left <= most and alike[one, other] < likeness:
            break
        sums[one] += sums[other]
        masses[one] += masses[other]
        left[other] = False
        alike[other] = alike[:, other] = -np.inf
        row = np.where(left, (sums @ sums[one]) / (masses * masses[one]), -np.inf)
        row[one] = -np.inf
        alike[one] = alike[:, one] = row
    return sums[left], masses[left]


def named(centres: Vectors, references: Sequence[Vectors]) -> list[int | None]:
    """Which of the known speakers each one is, if any: the most alike pairs first, nobody twice."""
    found: list[int | None] = [None] * len(centres)
    if not references or not len(centres):
        return found
    alike = centres @ _normalized(np.stack([prints.sum(axis=0) for prints in references])).T
    while alike.size and alike.max() >= ONE_VOICE:
        speaker, reference = divmod(int(alike.argmax()), alike.shape[1])
        found[speaker] = reference
        alike[speaker] = alike[:, reference] = -np.inf
    return found


def _normalized(sums: Vectors) -> Vectors:
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    normalized: Vectors = sums / np.maximum(lengths, np.float32(1e-9))
    return normalized
