"""Voiceprints become speakers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_core.speakers.clustering import MOST, Vectors, joined, named, speakers

D = 64


def voices(n: int) -> Vectors:
    """Voices that are as alike, 0.45, as people's are to the network."""
    own, common = np.eye(n, D, dtype=np.float32), np.eye(1, D, D - 1, dtype=np.float32)
    return np.asarray(np.sqrt(np.float32(0.55)) * own + np.sqrt(np.float32(0.45)) * common)


def blocks(found: Vectors, size: int = 25) -> list[Vectors]:
    """As chunks have them."""
    return [found[at : at + size] for at in range(0, len(found), size)]


def prints(turns: list[int], seed: int) -> Vectors:
    """Windows of these speakers' voices, alike by 0.75 where it is one's."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(len(turns), D)).astype(np.float32)
    noisy = voices(max(turns) + 1)[turns] + np.sqrt(np.float32(1 / 3)) * noise / np.linalg.norm(
        noise, axis=1, keepdims=True
    )
    return np.asarray(noisy / np.linalg.norm(noisy, axis=1, keepdims=True))


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 5), turns=st.lists(st.integers(0, 4), min_size=40, max_size=80), seed=st.integers(0, 99))
def test_as_many_speakers_are_found_as_speak_and_each_window_is_nearest_to_its_own(
    n: int, turns: list[int], seed: int
) -> None:
    who = [turn % n for turn in turns] + list(range(n)) * 6
    found = prints(who, seed)
    centres = speakers(blocks(found), np.ones(len(who), np.float32))
    assert len(centres) == n
    nearest = (found @ centres.T).argmax(axis=1)
    assert len({(one, other) for one, other in zip(who, nearest.tolist(), strict=True)}) == n


def test_so_many_are_found_as_there_are_said_to_be() -> None:
    found = prints([0, 1, 2] * 10, 1)
    for n in (1, 2, 3, 5):
        assert len(speakers(blocks(found), np.ones(30, np.float32), n)) == n


def test_of_a_long_recording_runs_are_clustered_first() -> None:
    who = [turn % 3 for turn in range(0, 3 * MOST)]
    found = prints(who, 2)
    centres = speakers(blocks(found), np.ones(len(who), np.float32))
    assert len(centres) == 3
    assert len(set(zip(who, (found @ centres.T).argmax(axis=1).tolist(), strict=True))) == 3


@given(size=st.integers(1, 130))
@settings(max_examples=10, deadline=None)
def test_what_chunks_the_windows_came_in_makes_no_difference(size: int) -> None:
    found = prints([0, 1, 2] * 40, 6)
    weights = np.ones(len(found), np.float32)
    np.testing.assert_allclose(speakers(blocks(found, size), weights), speakers([found], weights), atol=1e-5)


def test_one_odd_sound_is_no_speaker() -> None:
    assert len(speakers(blocks(prints([0] * 20 + [1] + [0] * 20, 3)), np.ones(41, np.float32))) == 1


def test_joining_keeps_all_there_is() -> None:
    found = prints([0, 1] * 8, 4)
    sums, masses = joined(found, np.ones(16, np.float32), 0.6, 16)
    assert sorted(masses.tolist()) == [8, 8]
    np.testing.assert_allclose(sums.sum(axis=0), found.sum(axis=0), rtol=1e-4, atol=1e-5)


def test_a_known_voice_is_found_and_an_unknown_one_is_not() -> None:
    of_three = voices(3)
    assert named(of_three[:2], [of_three[2:], of_three[1:2]]) == [None, 1]
    assert named(of_three, []) == [None, None, None]
    assert named(of_three[:0], [of_three[:1]]) == []


@pytest.mark.parametrize("n", [1, 2])
def test_little_speech_is_enough_for_a_speaker(n: int) -> None:
    assert len(speakers(blocks(prints(list(range(n)), 5)), np.full(n, 0.5, np.float32))) == n
