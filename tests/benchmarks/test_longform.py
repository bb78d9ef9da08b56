"""What the benchmark of long recordings counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.types import SAMPLE_RATE, Span, Word
from benchmarks.alignment import align, errors_within
from benchmarks.comparison import AROUND, LEVELS, MUSIC, Comparison, Said, Scene
from tools.demo_model.scoring import distance

words = st.lists(st.sampled_from("абвг"), max_size=12)


@given(words, words)
def test_an_alignment_holds_all_words_in_order_with_as_few_errors_as_can_be(said: list[str], heard: list[str]) -> None:
    pairs = align(said, heard)
    assert [i for i, _ in pairs if i is not None] == list(range(len(said)))
    assert [j for _, j in pairs if j is not None] == list(range(len(heard)))
    errors = sum(i is None or j is None or said[i] != heard[j] for i, j in pairs)
    assert errors == distance(said, heard)


def at_seconds(text: str, first: float) -> list[Word]:
    """A word a second."""
    return [Word(word, first + i, first + i + 0.5, 1.0) for i, word in enumerate(text.split())]


LABEL = "один два три четыре пять"
SAID = Said(LABEL, Span(10 * SAMPLE_RATE, 15 * SAMPLE_RATE), LEVELS, np.empty(0, np.int16))
SCENE = Scene(np.empty(0, np.int16), [SAID], [(MUSIC, Span(20 * SAMPLE_RATE, 30 * SAMPLE_RATE))])
ALONE = at_seconds(LABEL, AROUND / SAMPLE_RATE)

CASES = {
    "as alone": (at_seconds(LABEL, 10), 12, (0, 0, 0, 0)),
    "lost at a border": (at_seconds("один два", 10) + at_seconds("четыре пять", 13), 12, (20, 1, 0, 0)),
    "lost elsewhere": (at_seconds("один два", 10) + at_seconds("четыре пять", 13), 15, (20, 0, 0, 0)),
    "misheard at a border": (at_seconds("один два тли четыре пять", 10), 12, (20, 0, 1, 0)),
    "two in one at a border": (at_seconds("один дватри четыре пять", 10), 12, (40, 0, 2, 0)),
    "with letters too many at a border": (at_seconds("один два стории четыре пять", 10), 12, (20, 0, 1, 0)),
    "invented": (at_seconds(LABEL, 10) + at_seconds("да", 25), 12, (0, 0, 0, 1)),
}


@pytest.mark.parametrize(("heard", "border_s", "counted"), CASES.values(), ids=CASES)
def test_words_are_counted_as_what_they_are(
    heard: list[Word], border_s: int, counted: tuple[float, int, int, int]
) -> None:
    findings = Comparison(SCENE, [ALONE], heard, [border_s * SAMPLE_RATE]).findings("ours", has_targets=False)
    extra, lost, misheard, invented = (
        next(finding.value for finding in findings if what in finding.what)
        for what in (LEVELS, "lost", "misheard", "invented")
    )
    assert (extra, lost, misheard, invented) == pytest.approx(counted)


letters = st.text("абв", max_size=8)


@given(letters, letters)
def test_a_word_is_sought_in_every_part_of_what_is_heard(said: str, heard: str) -> None:
    parts = (heard[first:last] for first in range(len(heard) + 1) for last in range(first, len(heard) + 1))
    assert errors_within(said, heard) == min(distance(said, part) for part in parts)


@pytest.mark.parametrize(
    ("alone", "here", "n_unlike"), [("а б в г", "а б в г", 0), ("а б в", "а в г", 2), ("", "а", 1)]
)
def test_words_heard_either_here_or_alone_tell_how_much_is_chance(alone: str, here: str, n_unlike: int) -> None:
    said = Said("а б в г", SAID.span, LEVELS, SAID.alone)
    scene, beginning_s = Scene(SCENE.pcm, [said], []), AROUND / SAMPLE_RATE
    comparison = Comparison(scene, [at_seconds(alone, beginning_s)], at_seconds(here, 10), [0])
    (error,) = (
        f.value for f in comparison.findings("ours", has_targets=True) if f.what.startswith(f"{LEVELS}: standard")
    )
    assert error == pytest.approx(100 * n_unlike**0.5 / 4)
