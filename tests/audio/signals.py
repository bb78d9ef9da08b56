"""Signals to try voice activity detection on: real speech, and what is not speech."""

from __future__ import annotations

import wave
from itertools import pairwise
from pathlib import Path

import numpy as np

from asr_core.types import SAMPLE_RATE, Pcm

SPEECH_FILE = Path(__file__).parents[2] / "asr_core" / "demo" / "speech.wav"


def speech() -> Pcm:
    with wave.open(str(SPEECH_FILE)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def silence(seconds: float) -> Pcm:
    return np.zeros(round(seconds * SAMPLE_RATE), np.int16)


def noise(seconds: float, level: int = 1000) -> Pcm:
    return np.random.default_rng(7).normal(0, level, round(seconds * SAMPLE_RATE)).astype(np.int16)


def tone(seconds: float, hertz: float = 300) -> Pcm:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (8000 * np.sin(2 * np.pi * hertz * times)).astype(np.int16)


def noisy_speech() -> Pcm:
    """Speech close to the noise floor: probabilities linger between the thresholds."""
    clean = speech()
    return (clean * 0.05 + noise(len(clean) / SAMPLE_RATE, 150)[: len(clean)]).astype(np.int16)


def talk_with_pauses() -> Pcm:
    """Phrases of 0.3 to 4 s with pauses of 60 ms to 3 s between them, about 70 s."""
    random, voice = np.random.default_rng(11), speech()
    pieces = []
    for _ in range(24):
        start = random.integers(0, len(voice) - 4 * SAMPLE_RATE)
        pieces += [voice[start : start + random.integers(SAMPLE_RATE // 3, 4 * SAMPLE_RATE)]]
        pieces += [silence(random.choice([0.06, 0.1, 0.15, 0.3, 1.0, 3.0]))]
    return np.concatenate(pieces)


def in_blocks(signal: Pcm, cuts: list[int]) -> list[Pcm]:
    """Split at the given places, counted round and round; blocks may be empty."""
    edges = [0, *sorted(cut % (len(signal) + 1) for cut in cuts), len(signal)]
    return [signal[start:end] for start, end in pairwise(edges)]


SIGNALS = {
    "speech": speech(),
    "speech in noise": noisy_speech(),
    "talk with pauses": talk_with_pauses(),
    "noise": noise(7),
    "tone": tone(5),
    "silence": silence(4),
    "speech up to the last sample": speech()[: 2 * SAMPLE_RATE + 77],
    "less than a window": speech()[8000:8300],
    "one window": speech()[8000:8512],
    "one sample": noise(1)[:1],
    "empty": silence(0),
}
