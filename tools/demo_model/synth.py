"""Speech for the sentences, kept as log-mels.

    python -m tools.demo_model.synth --data DIR --parts 88

The training set is defined by its parts: part N holds SENTENCES_PER_PART sentences of seed N, spoken by the voice kinds
in SHARES. More parts extend the set without changing the ones that are there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from reference.eager import Preprocessor
from tools.demo_model.effects import disturb
from tools.demo_model.text import Sentence, sentences
from tools.demo_model.voices import Wave, change_speed, draw_espeak, espeak, festival

SENTENCES_PER_PART = 1000
SHARES = {"festival": 0.42, "espeak": 0.18, "variants": 0.40}
FESTIVAL_SPEEDS = range(86, 118, 2)  # per cent; half of its sentences are left as they are
EFFECT_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class Part:
    """Utterance i has frames[offsets[i] : offsets[i + 1]]."""

    frames: NDArray[np.float16]  # [F, 64]
    offsets: NDArray[np.int64]  # [N + 1]
    labels: list[str]
    kinds: list[str]
    rare: list[bool]


def speak(kind: str, spoken: list[Sentence], rng: random.Random) -> list[Wave]:
    if kind != "festival":
        return [espeak(sentence.spoken, draw_espeak(kind, rng)) for sentence in spoken]
    waves = festival([sentence.spoken for sentence in spoken])
    return [change_speed(wave, rng.choice(FESTIVAL_SPEEDS)) if rng.random() < 0.5 else wave for wave in waves]


def log_mel(wave: Wave, preprocessor: Preprocessor) -> NDArray[np.float16]:
    with torch.inference_mode():
        mel, _ = preprocessor(torch.from_numpy(wave)[None], torch.tensor([len(wave)]))
    features: NDArray[np.float16] = mel[0].T.to(torch.float16).numpy()
    return features


def make_part(seed: int, folder: Path) -> float:
    """Write one part unless it is there; hours of speech in it."""
    torch.set_num_threads(1)
    described = folder / f"part{seed:04d}.json"
    if described.exists():
        return float(json.loads(described.read_text(encoding="utf-8"))["hours"])
    rng = random.Random(seed)
    stream = sentences(seed)
    waves: list[Wave] = []
    read: list[Sentence] = []
    kinds: list[str] = []
    for kind, share in SHARES.items():
        spoken = list(itertools.islice(stream, round(share * SENTENCES_PER_PART)))
        waves += speak(kind, spoken, rng)
        read += spoken
        kinds += [kind] * len(spoken)
    preprocessor = Preprocessor()
    mels = [log_mel(wave, preprocessor) for wave in disturb(waves, seed, EFFECT_SHARE)]
    np.save(described.with_suffix(".npy"), np.concatenate(mels))
    offsets = np.cumsum([0, *(len(mel) for mel in mels)]).tolist()
    hours = float(offsets[-1]) / 100 / 3600
    about = {
        "hours": hours,
        "offsets": offsets,
        "labels": [sentence.label for sentence in read],
        "kinds": kinds,
        "rare": [sentence.rare for sentence in read],
    }
    described.with_suffix(".tmp").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
    described.with_suffix(".tmp").rename(described)  # last, so that a part is either whole or absent
    return hours


def load_part(described: Path) -> Part:
    about = json.loads(described.read_text(encoding="utf-8"))
    frames = np.load(described.with_suffix(".npy"), mmap_mode="r")
    return Part(frames, np.array(about["offsets"]), about["labels"], about["kinds"], about["rare"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--first", type=int, default=1000, help="seed of the first part")
    parser.add_argument("--parts", type=int, default=88)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    folder = arguments.data / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(arguments.first, arguments.first + arguments.parts)
    hours = 0.0
    with get_context("spawn").Pool(arguments.processes) as pool:
        for done, part_hours in enumerate(pool.imap(partial(make_part, folder=folder), seeds), 1):
            hours += part_hours
            print(f"part {done}/{arguments.parts}: {hours:.2f} h of speech", flush=True)


if __name__ == "__main__":
    main()
