"""Dialogues of which it is known who speaks when: synthetic voices that differ as people's do, or real recordings."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import soundfile

from asr_core.audio.vad import speech_spans
from asr_core.speakers.encoder import WINDOW, SpeakerEncoder
from asr_core.types import INT16_SCALE, SAMPLE_RATE, Pcm
from tools.demo_model.voices import EspeakVoice, Wave, change_speed, espeak, festival, to_16k

Turn = tuple[str, float, float]
"""Speaker, start and end, s."""

PAUSE_S = (0.1, 2.0)
BREATH_S = 0.5
"""A shorter silence belongs to the turn it is in."""

APART = 0.60
"""Mean likeness of two voices of a synthetic dialogue, at most: people's is 0.45 ± 0.08."""

SHIFTS = (85, 118)
"""Percent: the same voice by somebody larger or smaller, pitch and formants alike."""

PHRASES = Path(__file__).parents[1] / "demo_model" / "phrases.txt"
NOISE = 8.0 / INT16_SCALE


@dataclass(frozen=True, slots=True)
class Dialogue:
    pcm: Pcm
    turns: list[Turn]


@dataclass(frozen=True, slots=True)
class Voice:
    """Something said: sentences, whole, or recordings to be cut anywhere."""

    sounds: Sequence[Wave]
    cut: bool


def synthetic_voices(n_sentences: int, seed: int) -> dict[str, Voice]:
    """festival's, two of espeak-ng's, and forms of them that are shifted."""
    lines = [line.strip() for line in PHRASES.read_text(encoding="utf-8").splitlines()]
    texts = [line for line in lines if line and not line.startswith("#")]
    random.Random(seed).shuffle(texts)
    texts = [texts[n % len(texts)] for n in range(n_sentences)]
    own = {
        "festival": festival(texts),
        "ru+m3": [espeak(text, EspeakVoice("ru+m3", 150)) for text in texts],
        "ru+f4": [espeak(text, EspeakVoice("ru+f4", 150)) for text in texts],
    }
    shifted = {
        f"{name} {shift}%": [change_speed(wave, shift) for wave in own[name]] for name in own for shift in SHIFTS
    }
    return {name: Voice([_trimmed(wave) for wave in waves], cut=False) for name, waves in (own | shifted).items()}


def real_voices(folder: Path) -> dict[str, Voice]:
    """Each recording of the folder is somebody else's."""
    voices = {}
    for path in sorted(folder.glob("*.wav")):
        wave, rate = soundfile.read(path, dtype="float32")
        wave = _trimmed(to_16k(wave, rate))
        voices[path.stem] = Voice([wave * np.float32(0.09 / np.sqrt(np.mean(wave**2)))], cut=True)
    return voices


def likeness(voices: Mapping[str, Voice], encoder: SpeakerEncoder) -> dict[tuple[str, str], float]:
    """The mean likeness of each voice's windows with each other's, and with its own."""
    prints = {}
    for name, voice in voices.items():
        pcm = _pcm(np.concatenate(voice.sounds)[: 60 * SAMPLE_RATE])
        prints[name] = encoder.embed(pcm, range(0, len(pcm) - WINDOW + 1, WINDOW // 2))
    pairs = [*combinations(voices, 2), *((name, name) for name in voices)]
    return {(one, other): _mean_likeness(prints[one], prints[other], one == other) for one, other in pairs}


def casts(alike: Mapping[tuple[str, str], float], n: int) -> list[tuple[str, ...]]:
    """All `n` voices that are apart from each other."""
    names = sorted({one for one, _ in alike})
    near = {frozenset(pair) for pair, value in alike.items() if value > APART and pair[0] != pair[1]}
    return [
        cast for cast in combinations(names, n) if not any(frozenset(pair) in near for pair in combinations(cast, 2))
    ]


def dialogue(
    voices: Mapping[str, Voice], cast: Sequence[str], seconds: float, turn_s: tuple[float, float], rng: random.Random
) -> Dialogue:
    """Turns of the cast, nobody's twice in a row, until `seconds` are over."""
    pieces: list[Wave] = [np.zeros(SAMPLE_RATE // 2, np.float32)]
    turns: list[Turn] = []
    length, speaker = len(pieces[0]), ""
    while length < seconds * SAMPLE_RATE:
        speaker = rng.choice([name for name in cast if name != speaker])
        said = _turn(voices[speaker], rng.uniform(*turn_s), turn_s[1], rng)
        turns += [(speaker, (length + a) / SAMPLE_RATE, (length + b) / SAMPLE_RATE) for a, b in _spoken(said)]
        pause = np.zeros(round(rng.uniform(*PAUSE_S) * SAMPLE_RATE), np.float32)
        pieces += [said, pause]
        length += len(said) + len(pause)
    sound = np.concatenate(pieces)
    noise = np.random.default_rng(rng.randrange(2**32)).normal(0, NOISE, len(sound))
    return Dialogue(_pcm(sound + noise.astype(np.float32)), turns)


def _turn(voice: Voice, seconds: float, most_s: float, rng: random.Random) -> Wave:
    if voice.cut:
        whole = voice.sounds[0]
        n = min(round(seconds * SAMPLE_RATE), len(whole))
        at = rng.randrange(len(whole) - n + 1)
        return whole[at : at + n]
    said: list[Wave] = []
    while not said or (
        sum(map(len, said)) < seconds * SAMPLE_RATE and sum(map(len, said)) + len(said[-1]) < most_s * SAMPLE_RATE
    ):
        said.append(rng.choice(voice.sounds))
    turn: Wave = np.concatenate(said)[: round(most_s * SAMPLE_RATE)]
    return turn


def _spoken(sound: Wave) -> list[tuple[int, int]]:
    """Where in a turn somebody speaks: recordings cut anywhere may begin, end or go on with silence."""
    spans = [(span.start, span.end) for span in speech_spans([_pcm(sound)])]
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start - joined[-1][1] < BREATH_S * SAMPLE_RATE:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined


def _trimmed(wave: Wave) -> Wave:
    loud = np.flatnonzero(np.abs(wave) > 0.02 * np.abs(wave).max())
    return wave[loud[0] : loud[-1] + 1]


def _pcm(wave: Wave) -> Pcm:
    return (wave * INT16_SCALE).clip(-INT16_SCALE, INT16_SCALE - 1).astype(np.int16)


def _mean_likeness(one: np.ndarray, other: np.ndarray, same: bool) -> float:
    alike = one @ other.T
    return float(alike[~np.eye(len(one), dtype=bool)].mean() if same else alike.mean())
