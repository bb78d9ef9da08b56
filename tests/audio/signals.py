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


def talk_with_a_quiet_talker() -> Pcm:
    """Sentences with pauses of 1.5 s, every other one at -35 dB, in faint noise; 63 s."""
    voice, quiet = speech(), 10 ** (-35 / 20)
    pieces = []
    for index, start in enumerate(np.arange(0, len(voice) - 3 * SAMPLE_RATE, 3 * SAMPLE_RATE).tolist() * 2):
        sentence = voice[start : start + 3 * SAMPLE_RATE]
        pieces += [(sentence * (quiet if index % 2 else 1)).astype(np.int16), silence(1.5)]
    talk = np.concatenate(pieces)
    return talk + noise(len(talk) / SAMPLE_RATE, 3)


def chords(seconds: int, seed: int) -> Pcm:
    """One a second, sung rather than played: with overtones and vibrato, fading."""
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    roots = np.random.default_rng(seed).choice([-12, -7, -5, 0, 2, 5], seconds)
    bent = times + 0.0004 * np.sin(2 * np.pi * 5.5 * times)
    hertz = 220 * 2 ** ((roots[:, None] + np.array([0, 4, 7])) / 12)
    overtones = np.arange(1, 9)
    partials = np.sin(2 * np.pi * hertz[..., None, None] * overtones[:, None] * bent) / overtones[:, None]
    sound = (partials.sum(axis=(1, 2)) * np.exp(-times / 0.7)).ravel()
    sung: Pcm = (sound * 3277 / np.sqrt(np.mean(sound**2))).round().astype(np.int16)
    return sung


def melody(seconds: float) -> Pcm:
    """Plucked notes with their overtones, four a second."""
    times, random = np.arange(SAMPLE_RATE // 4) / SAMPLE_RATE, np.random.default_rng(5)
    notes = [220 * 2 ** (step / 12) for step in random.choice([0, 2, 4, 5, 7, 9, 11], round(4 * seconds))]
    partials = [sum(np.sin(2 * np.pi * note * k * times) / k for k in range(1, 9)) for note in notes]
    notes_in_turn: Pcm = (6000 * np.exp(-times / 0.3) * np.array(partials)).astype(np.int16).ravel()
    return notes_in_turn


def applause(seconds: float) -> Pcm:
    """Sixty claps a second, each a burst of noise that is gone after 10 ms."""
    random, total = np.random.default_rng(6), round(seconds * SAMPLE_RATE)
    claps = np.zeros(total)
    claps[random.integers(0, total, round(60 * seconds))] = random.uniform(0.2, 1, round(60 * seconds))
    burst = random.standard_normal(SAMPLE_RATE // 30) * np.exp(-np.arange(SAMPLE_RATE // 30) / (0.006 * SAMPLE_RATE))
    return (8000 * np.convolve(claps, burst)[:total]).clip(-32768, 32767).astype(np.int16)


def in_blocks(signal: Pcm, cuts: list[int]) -> list[Pcm]:
    """Split at the given places, counted round and round; blocks may be empty."""
    edges = [0, *sorted(cut % (len(signal) + 1) for cut in cuts), len(signal)]
    return [signal[start:end] for start, end in pairwise(edges)]


SIGNALS = {
    "speech": speech(),
    "speech in noise": noisy_speech(),
    "talk with pauses": talk_with_pauses(),
    "talk with a quiet talker": talk_with_a_quiet_talker(),
    "noise": noise(7),
    "tone": tone(5),
    "silence": silence(4),
    "speech up to the last sample": speech()[: 2 * SAMPLE_RATE + 77],
    "less than a window": speech()[8000:8300],
    "one window": speech()[8000:8512],
    "one sample": noise(1)[:1],
    "empty": silence(0),
}

WITHOUT_SPEECH = {
    "silence": silence(26),
    "noise": noise(26),
    "faint noise": noise(26, 5),
    "hum": tone(26, 50),
    "tone": tone(26),
    "melody": melody(26),
    "quiet melody": (melody(26) * 0.05).astype(np.int16),
    "applause": applause(26),
}
