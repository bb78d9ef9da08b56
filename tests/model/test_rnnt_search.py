"""Keywords in an RNN-T's beam."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import pytest
import torch
from torch import Tensor

from asr_core.model.heads import RnntHead
from asr_core.model.recognizer import NativeRecognizer
from asr_core.model.rnnt_search import RnntSearch
from asr_core.model.trie import Alphabet, Entry, Trie
from asr_core.text.keywords import spellings
from asr_core.types import Keyword
from tests.model.waveforms import noise

LETTERS = (*" абвгд",)


class Scripted:
    """A head that emits its n-th label on frame 2n, each with the probabilities that the script has for it."""

    def __init__(self, *script: Mapping[str, float]) -> None:
        self._script = script
        self.frames = torch.arange(2.0 * len(script))[:, None]

    def joint_frames(self, encoded: Tensor) -> Tensor:
        return encoded

    def start(self) -> tuple[Tensor, Tensor]:
        return torch.zeros(1), torch.zeros(1)

    def predict(self, label: int, state: Tensor) -> tuple[Tensor, Tensor]:
        return state + 1, state + 1

    def predict_all(self, labels: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        return states + 1, states + 1

    def joint(self, frames: Tensor, predicted: Tensor) -> Tensor:
        pairs = torch.stack([frames + 0 * predicted, predicted + 0 * frames], dim=-1).reshape(-1, 2)
        return torch.stack([self._logits(frame, n_emitted) for frame, n_emitted in pairs.int().tolist()])

    def _logits(self, frame: int, n_emitted: int) -> Tensor:
        due = n_emitted < len(self._script) and frame >= 2 * n_emitted
        heard = self._script[n_emitted] if due else {}
        rest = 1 - sum(heard.values())
        return torch.tensor([heard.get(letter, 1e-9) for letter in LETTERS] + [max(rest, 1e-9)]).log()


def text(script: Sequence[Mapping[str, float]], keywords: Mapping[str, float]) -> str:
    entries = [Entry(tuple(map(LETTERS.index, f" {word}")), bonus) for word, bonus in keywords.items()]
    head = Scripted(*script)
    search = RnntSearch(cast(RnntHead, head), Alphabet(LETTERS), Trie(entries, 6.0))
    tokens, spelled = search.decode(head.frames)
    for keyword in spelled:
        word = "".join(token.text for token in tokens[keyword.first : keyword.end])
        assert word.strip() == "".join(LETTERS[label] for label in keyword.entry.labels).strip()
    for token in tokens:
        assert token.frame % 2 == 0
        assert -12 < token.log_prob <= 0
    return "".join(token.text for token in tokens)


def sure(letters: str) -> list[dict[str, float]]:
    return [{letter: 0.99} for letter in letters]


UNSURE = {"б": 0.7, "в": 0.25}
"""б rather than в: a keyword with в is 1.03 nats behind."""


@pytest.mark.parametrize(
    ("script", "keywords", "heard"),
    [
        ([*sure("а"), UNSURE, *sure("г")], {}, "абг"),
        ([*sure("а"), UNSURE, *sure("г")], {"авг": 3.0}, "авг"),
        ([*sure("а"), UNSURE, *sure("г")], {"авг": 0.9}, "абг"),
        ([*sure("а"), UNSURE, *sure("г д")], {"авг": 3.0}, "авг д"),
        ([*sure("д а"), UNSURE, *sure("г д")], {"авг": 3.0}, "д авг д"),
        ([*sure("да"), UNSURE, *sure("г д")], {"авг": 3.0}, "дабг д"),
        ([*sure("а"), UNSURE, *sure("гд")], {"авг": 3.0}, "абгд"),
        ([*sure("а"), UNSURE, *sure("г а"), UNSURE, *sure("г")], {"авг": 3.0}, "авг авг"),
        ([*sure("а"), UNSURE, *sure(" г"), UNSURE], {"ав гв": 4.0}, "ав гв"),
        ([UNSURE, *sure("г д а"), UNSURE], {"вг": 3.0, "аб": 3.0}, "вг д аб"),
    ],
    ids=[
        "without keywords",
        "a keyword that is nearly as likely",
        "not worth it",
        "before another word",
        "behind another word",
        "not within a word",
        "not at the beginning of a longer word",
        "twice",
        "two words",
        "one where it is unsure, one where it is right",
    ],
)
def test_a_keyword_is_heard_where_it_is_likely_enough_and_a_word(
    script: list[dict[str, float]], keywords: dict[str, float], heard: str
) -> None:
    assert text(script, keywords) == heard


@pytest.mark.parametrize("name", ["v3_rnnt", "v3_e2e_rnnt", "v1_rnnt"])
def test_where_no_keyword_is_heard_the_greedy_tokens_are_the_result(
    name: str, load: Callable[..., NativeRecognizer]
) -> None:
    recognizer = load(name)
    waves = noise(16_000, 40_000)
    known = recognizer.glossary([spellings(Keyword("шшшшшшшш", 0.01))], "model")
    for plain, searched in zip(recognizer.recognize(waves), recognizer.recognize(waves, [known] * 2), strict=True):
        assert [(t.text, t.frame) for t in searched.tokens] == [(t.text, t.frame) for t in plain.tokens]
        assert all(
            math.isclose(one.log_prob, other.log_prob, abs_tol=1e-4)
            for one, other in zip(plain.tokens, searched.tokens, strict=True)
        )
