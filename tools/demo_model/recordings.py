"""Speech to measure with: held-out sentences spoken one by one, and long recordings of many."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.demo_model.effects import noise
from tools.demo_model.text import Sentence, sentences
from tools.demo_model.voices import KINDS, SAMPLE_RATE, EspeakVoice, Wave, draw_espeak, espeak, festival

HELD_OUT_SEED = 9000
SNR_DB = 15.0
NOISE_COLOURS = (0.0, 1.0, 2.0)  # white, pink, brown, in turn


@dataclass(frozen=True, slots=True)
class Recording:
    wave: Wave
    label: str


def trained_labels(data: Path) -> set[str]:
    """What the network has read, so that none of it counts as held out."""
    parts = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(data.glob("parts/part*.json")))
    return {label for part in parts for label in part["labels"]}


def held_out(seed: int, count: int, known: Collection[str] = (), rare: bool = False) -> list[Sentence]:
    fresh = (s for s in sentences(seed, rare_share=1.0 if rare else 0.0) if s.label not in known)
    return list(itertools.islice(fresh, count))


def speak(kind: str, spoken: list[Sentence], seed: int) -> list[Recording]:
    """espeak and festival as they come, so without draws; variants with their speeds and pitches."""
    rng = random.Random(seed)
    if kind == "festival":
        waves = festival([sentence.spoken for sentence in spoken])
    else:
        voices = [EspeakVoice() if kind == "espeak" else draw_espeak(kind, rng) for _ in spoken]
        waves = [espeak(sentence.spoken, voice) for sentence, voice in zip(spoken, voices, strict=True)]
    return [Recording(wave, sentence.label) for wave, sentence in zip(waves, spoken, strict=True)]


def noisy(recordings: list[Recording], seed: int) -> list[Recording]:
    """White, pink and brown noise in turn, 15 dB below each recording's mean power."""
    rng = np.random.default_rng(seed)
    louder = []
    for recording, colour in zip(recordings, itertools.cycle(NOISE_COLOURS)):
        level = np.sqrt(np.mean(recording.wave**2)) * 10 ** (-SNR_DB / 20)
        louder.append(Recording(recording.wave + level * noise(len(recording.wave), colour, rng), recording.label))
    return louder


def joined(recordings: list[Recording], seed: int, pauses: tuple[float, float] = (0.2, 2.0)) -> Recording:
    """One recording of many, with a pause of so many seconds after each."""
    rng = random.Random(seed)
    pieces = []
    for recording in recordings:
        pieces += [recording.wave, np.zeros(round(rng.uniform(*pauses) * SAMPLE_RATE), np.float32)]
    return Recording(np.concatenate(pieces), " ".join(recording.label for recording in recordings))


def long_recording(seed: int, seconds: float, known: Collection[str] = ()) -> Recording:
    """Everyday sentences by all voices in turn until the recording is long enough."""
    count = int(seconds / 6) + 1
    by_voice = [speak(kind, held_out(seed + i, count, known), seed) for i, kind in enumerate(KINDS)]
    chosen: list[Recording] = []
    for recording in itertools.chain.from_iterable(zip(*by_voice, strict=True)):
        if sum(len(r.wave) / SAMPLE_RATE + 1.1 for r in chosen) >= seconds:
            break
        chosen.append(recording)
    return joined(chosen, seed)
