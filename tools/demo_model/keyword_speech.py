"""Speech with rare names and terms in everyday sentences, and speech without any."""

from __future__ import annotations

import itertools
import pickle
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.demo_model.everyday import Everyday
from tools.demo_model.grammar import HERE, analyzer, noun
from tools.demo_model.recordings import HELD_OUT_SEED, held_out
from tools.demo_model.text import Sentence, label_of
from tools.demo_model.voices import SAMPLE_RATE, EspeakVoice, Wave, espeak, festival

SEED = 9700
NAMES = 280
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
        for speak in VOICES.values():
            waves += speak(texts)
        total, seed = sum(map(len, waves)) / SAMPLE_RATE, seed + 1
    return waves


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What `make` makes, from `path` if it has been made before."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(make()))
    return pickle.loads(path.read_bytes())  # noqa: S301 - our own
