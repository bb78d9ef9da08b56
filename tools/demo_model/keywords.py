"""What keywords are worth: rare names and terms in everyday sentences, heard without them and with them.

    python -m tools.demo_model.keywords --data DIR

The demo model gets most of them wrong: it has hardly heard them. Half of the keywords is there to choose the bonus with
(`--sweep`), the other half for the table. `--transducer` measures an RNN-T beside it, whose head learns from the demo
model's own, `--timing` what a request takes longer with a network of v3_ctc's size in int8.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr_core.model import glossary as bonuses
from asr_core.model.glossary import Glossary
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.text.keywords import spellings
from asr_core.types import INT16_SCALE, Keyword
from reference.checkpoints import CHARACTERS
from tools.demo_model.ears import CtcEars, Ears, RnntEars, chunk, timing
from tools.demo_model.evaluate import pcm_of
from tools.demo_model.keyword_speech import VOICES, Case, cases, kept, ordinary
from tools.demo_model.scoring import distance
from tools.demo_model.transducer import as_head, trained
from tools.demo_model.voices import Wave

LISTED = 100
"""Keywords that a request gives, that of its sentence among them."""
IN_VAIN = 200
"""Keywords given for the speech that has none of them."""
SWEEP = ((1, 0, 14), (1.5, 0, 14), (2, 0, 14), (1.5, 2, 20), (2, 2, 20), (2, 3, 20), (2.5, 3, 24), (2.5, 4, 24))
"""Nats for each letter, letters that bring nothing, and the most."""
EPOCHS = 30

Network = Callable[[Sequence[Tensor]], list[Tensor]]


@dataclass(slots=True)
class Tally:
    cases: int = 0
    missed: int = 0
    other_words: int = 0
    other_errors: int = 0

    @property
    def recall(self) -> float:
        return 1 - self.missed / self.cases

    @property
    def wer(self) -> float:
        return self.other_errors / self.other_words


def tensor(wave: Wave) -> Tensor:
    return torch.from_numpy(pcm_of(wave).astype(np.float32) / np.float32(INT16_SCALE))


def text(ears: Ears, index: int, known: Glossary | None) -> str:
    return " ".join("".join(token.text for token in ears.tokens(index, known)).split())


def tally(chosen: Sequence[Case], heard: Sequence[str]) -> Tally:
    result = Tally()
    for case, said in zip(chosen, heard, strict=True):
        result.cases += 1
        result.missed += case.form not in said.split()
        result.other_words += len(case.label.split()) - 1
        result.other_errors += errors_beside(case, said)
    return result


def errors_beside(case: Case, said: str) -> int:
    """Word errors outside of the keyword: whatever stands in its place, up to three words, costs nothing here."""
    words, label = said.split(), case.label.split()
    place = label.index(case.form)
    before, after = label[:place], label[place + 1 :]
    return min(
        distance(before, words[:begin]) + distance(after, words[end:])
        for begin in range(len(words) + 1)
        for end in range(begin, min(begin + 3, len(words)) + 1)
    )


def halves(everything: Sequence[Case]) -> tuple[list[int], list[int]]:
    """Cases by keyword: what the bonus is chosen on says nothing about the keywords of the other half."""
    words = list(dict.fromkeys(case.keyword for case in everything))
    first = set(words[: len(words) // 2])
    return [i for i, c in enumerate(everything) if c.keyword in first], [
        i for i, c in enumerate(everything) if c.keyword not in first
    ]


class Evaluation:
    """All recordings, as one network has left them."""

    def __init__(self, recognizer: Recognizer, everything: Sequence[Case], spoken: Ears, vain: Ears, n: int) -> None:
        self._recognizer, self._cases, self._spoken, self._vain, self._n_vain = recognizer, everything, spoken, vain, n
        self._words = list(dict.fromkeys(case.keyword for case in everything))

    def glossary(self, words: Sequence[str]) -> Glossary:
        return self._recognizer.glossary([spellings(Keyword(word)) for word in words], "model")

    def heard(self, chosen: Sequence[int], *, keywords: bool) -> Tally:
        known = self._lists(chosen) if keywords else {}
        said = [text(self._spoken, i, known.get(self._cases[i].keyword)) for i in chosen]
        return tally([self._cases[i] for i in chosen], said)

    def _lists(self, chosen: Sequence[int]) -> dict[str, Glossary]:
        """For each keyword the glossary of a list of `LISTED` that it is in."""
        words = list(dict.fromkeys(self._cases[i].keyword for i in chosen))
        found: dict[str, Glossary] = {}
        for begin in range(0, len(words), LISTED):
            listed = words[begin : begin + LISTED]
            known = self.glossary([*listed, *words[: LISTED - len(listed)]])
            found |= dict.fromkeys(listed, known)
        return found

    def false_insertions(self, words: Sequence[str]) -> int:
        """Keywords heard where there are none: recordings that are written otherwise with them."""
        known = self.glossary(words)
        return sum(text(self._vain, i, None) != text(self._vain, i, known) for i in range(self._n_vain))

    def sweep(self) -> Iterator[str]:
        chosen, _ = halves(self._cases)
        yield "| a letter | beyond | at most | recall | missed | WER of the other words | false in the hour |"
        yield "|---|---|---|---|---|---|---|"
        plain = self.heard(chosen, keywords=False)
        yield f"| none | | | {plain.recall:.1%} | {plain.missed} | {plain.wer:.2%} | |"
        for bonuses.PER_LETTER, bonuses.FREE, bonuses.MOST in SWEEP:
            found = self.heard(chosen, keywords=True)
            false = self.false_insertions(self._words[:IN_VAIN])
            figures = f"{found.recall:.1%} | {found.missed} | {found.wer:.2%} | {false}"
            yield f"| {bonuses.PER_LETTER} | {bonuses.FREE} | {bonuses.MOST} | {figures} |"

    def table(self, name: str) -> Iterator[str]:
        _, chosen = halves(self._cases)
        for voice in (*VOICES, "both"):
            these = [i for i in chosen if voice in (self._cases[i].voice, "both")]
            plain, found = self.heard(these, keywords=False), self.heard(these, keywords=True)
            fewer = 1 - found.missed / plain.missed
            yield (
                f"| {name} | {voice} | {plain.cases} | {plain.recall:.1%} | {found.recall:.1%} | {fewer:.0%} |"
                f" {plain.wer:.2%} | {found.wer:.2%} |"
            )
        yield f"{name}: {self.false_insertions(self._words[-IN_VAIN:])} false insertions with {IN_VAIN} keywords"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", default="demo")
    parser.add_argument("--data", type=Path, default=Path("build/demo-model"), help="where the speech is kept")
    parser.add_argument("--sweep", action="store_true", help="the first half of the keywords, for many bonuses")
    parser.add_argument("--transducer", action="store_true")
    parser.add_argument("--timing", action="store_true")
    parser.add_argument("--hours", type=float, default=1.0, help="of speech without keywords")
    options = parser.parse_args()
    recognizer = load_recognizer(options.checkpoint, precision="fp32", threads=1)
    everything: list[Case] = kept(options.data / "keywords.pkl", cases)
    vain: list[Wave] = kept(options.data / "ordinary.pkl", lambda: ordinary(3600 * options.hours))
    for line in report(recognizer, everything, vain, options):
        print(line, flush=True)


def report(
    recognizer: Recognizer, everything: Sequence[Case], vain: Sequence[Wave], options: argparse.Namespace
) -> Iterator[str]:
    spoken = [tensor(case.wave) for case in everything]
    silent = [tensor(wave) for wave in vain]

    def computed(
        name: str, compute: Callable[[Sequence[Tensor]], list[Tensor]], waves: Sequence[Tensor]
    ) -> list[Tensor]:
        result: list[Tensor] = kept(options.data / f"{name}.pkl", lambda: [compute([wave])[0] for wave in waves])
        return result

    ctc = [CtcEars(CHARACTERS, computed(f"ctc{i}", recognizer.log_probs, w)) for i, w in enumerate((spoken, silent))]
    heard = {"CTC": Evaluation(recognizer, everything, ctc[0], ctc[1], len(vain))}
    chunks: list[tuple[str, Ears]] = [("CTC", CtcEars(CHARACTERS, [chunk(ctc[1].log_probs)]))]
    if options.transducer:
        encoded = [computed(f"encoded{i}", recognizer.encode, w) for i, w in enumerate((spoken, silent))]
        width = encoded[0][0].shape[1]
        head = kept(options.data / "transducer.pkl", lambda: trained(encoded[1], ctc[1].log_probs, EPOCHS))
        rnnt = as_head(head, width, CHARACTERS)
        ears = [RnntEars(rnnt, frames) for frames in encoded]
        heard["RNN-T"] = Evaluation(recognizer, everything, ears[0], ears[1], len(vain))
        chunks.append(("RNN-T", RnntEars(rnnt, [chunk(encoded[1])])))
    if options.timing:
        words = list(dict.fromkeys(case.keyword for case in everything))
        yield from timing([heard["CTC"].glossary(words[:n]) for n in (LISTED, len(words))], chunks)
        return
    for name, evaluation in heard.items():
        yield from evaluation.sweep() if options.sweep else evaluation.table(name)


if __name__ == "__main__":
    main()
