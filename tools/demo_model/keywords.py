"""What keywords are worth: rare names and terms in everyday sentences, heard without them and with them.

    python -m tools.demo_model.keywords --data DIR

Half of the keywords is for choosing the bonus, the other half for the table. The demo model gets most of them wrong: it
has hardly heard them. `--sweep` prints the first half for many bonuses instead.
"""

from __future__ import annotations

import argparse
import itertools
import pickle
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr_core.model import glossary as tuned
from asr_core.model.glossary import Glossary
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.text.keywords import spellings
from asr_core.types import INT16_SCALE, Keyword
from tools.demo_model.evaluate import pcm_of
from tools.demo_model.everyday import Everyday
from tools.demo_model.grammar import HERE, analyzer, noun
from tools.demo_model.recordings import HELD_OUT_SEED, held_out
from tools.demo_model.scoring import distance
from tools.demo_model.text import Sentence, label_of
from tools.demo_model.voices import EspeakVoice, Wave, espeak, festival

SEED = 9700
NAMES = 280
LISTED = 100
"""Keywords that a request gives, those of its sentence among them."""
IN_SILENCE = 200
"""Keywords given for the hour of speech that has none of them."""
PATTERNS = (  # case, before, after
    ("nomn", "{}", "это очень важно"),
    ("gent", "у {}", "сегодня много дел"),
    ("gent", "мы говорили без {}", ""),
    ("datv", "завтра вернемся к {}", ""),
    ("accs", "я хорошо помню {}", ""),
    ("ablt", "вчера занимались {}", ""),
    ("ablt", "между окном и {}", "большая разница"),
    ("loct", "расскажи мне о {}", ""),
    ("nomn", "где теперь {}", "никто не знает"),
)
VOICES: dict[str, Callable[[Sequence[str]], list[Wave]]] = {
    "espeak-ng": lambda texts: [espeak(text, EspeakVoice()) for text in texts],
    "festival": festival,
}


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence with one keyword in it, spoken."""

    keyword: str
    form: str
    """As the sentence has it, in the model's letters."""
    label: str
    voice: str
    wave: Wave


@dataclass(slots=True)
class Tally:
    cases: int = 0
    missed: int = 0
    other_words: int = 0
    other_errors: int = 0

    @property
    def row(self) -> str:
        found = 1 - self.missed / self.cases
        return f"{found:.1%} | {self.missed} | {self.other_errors / self.other_words:.2%}"


def names() -> list[str]:
    """Surnames and places of the dictionary, each in its first form."""
    found = []
    for word, tag, normal, *_ in analyzer().dictionary.iter_known_words():
        rare = {"Surn", "Geox"} & set(tag.grammemes) and "nomn" in tag and "sing" in tag and tag.POS == "NOUN"
        if rare and word == normal and 5 <= len(word) <= 14 and "-" not in word and "Fixd" not in tag:
            found.append(word)
    return random.Random(SEED).sample(sorted(set(found)), NAMES)


def terms() -> list[str]:
    lines = (HERE / "terms.txt").read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]


def sentences() -> list[tuple[str, str, Sentence]]:
    """Keyword, its form, and the sentence."""
    rng = random.Random(SEED)
    everyday = Everyday(rng)
    chosen = []
    words = [*(name.capitalize() for name in names()), *terms()]
    rng.shuffle(words)
    for word, (case, before, after) in zip(words, itertools.cycle(PATTERNS)):
        form = noun(word, case).words
        short = next(text for text in iter(everyday.sentence, "") if len(text) < 60)
        spoken = f"{short} {before.format(form)} {after}".strip()
        chosen.append((word, label_of(form), Sentence(spoken, label_of(spoken), rare=False)))
    return chosen


def cases() -> list[Case]:
    spoken = sentences()
    made = []
    for voice, speak in VOICES.items():
        waves = speak([sentence.spoken for _, _, sentence in spoken])
        made += [Case(k, f, s.label, voice, w) for (k, f, s), w in zip(spoken, waves, strict=True)]
    return made


def ordinary(seconds: float) -> list[Wave]:
    """So much everyday speech, by both voices in turn."""
    waves: list[Wave] = []
    total, seed = 0.0, HELD_OUT_SEED + 7000
    while total < seconds:
        texts = [sentence.spoken for sentence in held_out(seed, 200)]
        for voice, speak in VOICES.items():
            waves += speak(texts if voice == "festival" else texts)
        total, seed = sum(map(len, waves)) / 16_000, seed + 1
    return waves


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What `make` makes, from `path` if it has been made before."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(make()))
    return pickle.loads(path.read_bytes())  # noqa: S301 - our own


class Heard:
    """Log-probabilities of recordings, computed once for all bonuses."""

    def __init__(self, recognizer: Recognizer, waves: Sequence[Wave]) -> None:
        self.log_probs = [recognizer.log_probs([tensor(wave)])[0] for wave in waves]


def tensor(wave: Wave) -> torch.Tensor:
    return torch.from_numpy(pcm_of(wave).astype(np.float32) / np.float32(INT16_SCALE))


def texts(log_probs: Sequence[torch.Tensor], glossaries: Sequence[Glossary]) -> list[str]:
    return [
        " ".join("".join(token.text for token in known.ctc(scores)).split())
        for scores, known in zip(log_probs, glossaries, strict=True)
    ]


def glossary_of(recognizer: Recognizer, words: Sequence[str]) -> Glossary:
    return recognizer.glossary([spellings(Keyword(word)) for word in words], "model")


def tally(chosen: Sequence[Case], heard: Sequence[str]) -> Tally:
    result = Tally()
    for case, text in zip(chosen, heard, strict=True):
        result.cases += 1
        result.missed += case.form not in f" {text} ".split() if " " not in case.form else case.form not in text
        others = [word for word in case.label.split() if word != case.form]
        result.other_words += len(others)
        result.other_errors += errors_beside(case, text)
    return result


def errors_beside(case: Case, text: str) -> int:
    """Word errors outside of the keyword: what its place is filled with, one word or two, costs nothing."""
    words, label = text.split(), case.label.split()
    place = label.index(case.form.split()[0])
    before, after = label[:place], label[place + 1 :]
    best = len(words) + len(label)
    for begin in range(len(words) + 1):
        for end in range(begin, min(begin + 3, len(words)) + 1):
            best = min(best, distance(before, words[:begin]) + distance(after, words[end:]))
    return best


def halves(everything: Sequence[Case]) -> tuple[list[Case], list[Case]]:
    """By keyword: what the bonus is chosen on says nothing about those of the other half."""
    words = list(dict.fromkeys(case.keyword for case in everything))
    first = set(words[: len(words) // 2])
    return [c for c in everything if c.keyword in first], [c for c in everything if c.keyword not in first]


def with_lists(recognizer: Recognizer, chosen: Sequence[Case]) -> list[Glossary]:
    """For each case the glossary of a list of `LISTED` keywords, its own among them."""
    words = list(dict.fromkeys(case.keyword for case in chosen))
    lists = [words[begin : begin + LISTED] for begin in range(0, len(words), LISTED)]
    lists[-1] = words[-LISTED:]
    glossaries = {word: known for listed in lists for known in [glossary_of(recognizer, listed)] for word in listed}
    return [glossaries[case.keyword] for case in chosen]


def insertions(without: Sequence[str], heard: Sequence[str]) -> int:
    """Recordings that have none of the keywords and are written otherwise with them."""
    return sum(plain != biased for plain, biased in zip(without, heard, strict=True))


def sweep(recognizer: Recognizer, everything: Sequence[Case], arguments: argparse.Namespace) -> Iterator[str]:
    chosen, _ = halves(everything)
    scores = Heard(recognizer, [case.wave for case in chosen]).log_probs
    waves: list[Wave] = kept(arguments.data / "ordinary.pkl", lambda: ordinary(3600))
    quiet = Heard(recognizer, waves).log_probs
    empty = recognizer.glossary([], "model")
    silent = list(dict.fromkeys(case.keyword for case in everything))[:IN_SILENCE]
    plain = texts(quiet, [empty] * len(quiet))
    yield "| per letter | most | slack | recall | missed | WER beside | false in an hour |"
    yield "|---|---|---|---|---|---|---|"
    yield f"| without | | | {tally(chosen, texts(scores, [empty] * len(scores))).row} | |"
    for per_letter, most, slack in itertools.product(*arguments.grid):
        tuned.PER_LETTER, tuned.MOST, tuned.SLACK = per_letter, most, slack
        result = tally(chosen, texts(scores, with_lists(recognizer, chosen)))
        wrong = insertions(plain, texts(quiet, [glossary_of(recognizer, silent)] * len(quiet)))
        yield f"| {per_letter} | {most} | {slack} | {result.row} | {wrong} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", default="demo")
    parser.add_argument("--data", type=Path, default=Path("build/demo-model"), help="where the speech is kept")
    parser.add_argument("--sweep", action="store_true", help="the first half of the keywords, for many bonuses")
    parser.add_argument("--grid", type=eval, default="[[0.5,1,1.5,2],[14],[6]]")
    parser.add_argument("--hours", type=float, default=1.0, help="of speech without keywords")
    arguments = parser.parse_args()
    recognizer = load_recognizer(arguments.checkpoint, precision="fp32")
    everything: list[Case] = kept(arguments.data / "keywords.pkl", cases)
    for line in (sweep if arguments.sweep else sweep)(recognizer, everything, arguments):
        print(line, flush=True)


if __name__ == "__main__":
    main()
