"""Long recordings of which everything is known: what is said where, how it is disturbed, and where nobody speaks."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from asr_core.types import Pcm, Span
from benchmarks.comparison import (
    APPLAUSE,
    AROUND,
    LEVELS,
    MUSIC,
    NO_PAUSE,
    NOISE,
    NOISE_5,
    NOISE_15,
    PLAIN,
    SPOKEN,
    Said,
    Scene,
)
from tools.demo_model.effects import noise
from tools.demo_model.recordings import HELD_OUT_SEED, NOISE_COLOURS, Recording, held_out, speak
from tools.demo_model.voices import KINDS, SAMPLE_RATE, Wave

SNR_DB = {NOISE_15: 15, NOISE_5: 5, NOISE: 15}

ROUND: tuple[tuple[str, int], ...] = (
    *((PLAIN, 60), (MUSIC, 20), (NO_PAUSE, 180), (APPLAUSE, 20)),
    *((LEVELS, 120), (MUSIC, 15), (NOISE_15, 100), (NOISE, 15), (NOISE_5, 70)),
)
"""What ten minutes are made of, in seconds."""
ROUND_MINUTES = 10

PAUSES_S = (0.1, 2.0)
"""Without any silence between two sentences, the bundled model writes two words as one wherever it hears them; a tenth
of a second is none to the VAD."""
DEEPEST_DROP_DB = 40.0
LEVEL = 0.1
"""The mean magnitude, as RMS, of voices as they come and of what is not speech."""
SILENT_DB = 40.0
"""How far below an utterance's peak its silence begins."""
SENTENCES_A_SECOND = 0.4
"""More than enough."""


def scene(minutes: int, seed: int = HELD_OUT_SEED) -> Scene:
    """A recording of so many minutes, of which ten have a bit of everything; always the same."""
    rng, draw = np.random.default_rng(seed + minutes), random.Random(seed + minutes)
    supply = _sentences(minutes, seed + minutes)
    pieces: list[Pcm] = []
    said: list[Said] = []
    unspoken: list[tuple[str, Span]] = []
    at = 0
    for kind, seconds in ROUND * (minutes // ROUND_MINUTES):
        if kind in SPOKEN:
            pcm, sentences = _stretch(kind, seconds, supply, draw, rng)
            said += [replace(s, span=Span(at + s.span.start, at + s.span.end)) for s in sentences]
        else:
            pcm = _pcm(_without_speech(kind, seconds, rng))
            unspoken.append((kind, Span(at, at + len(pcm))))
        pieces.append(pcm)
        at += len(pcm)
    return Scene(np.concatenate(pieces), said, unspoken)


def _pcm(wave: Wave) -> Pcm:
    pcm: Pcm = (wave * 32767).round().clip(-32768, 32767).astype(np.int16)
    return pcm


def _sentences(minutes: int, seed: int) -> Iterator[Recording]:
    """By all voices in turn, each sentence as loud as the others."""
    count = round(minutes * 60 * SENTENCES_A_SECOND / len(KINDS))
    by_voice = [speak(kind, held_out(seed + 7 * i, count), seed) for i, kind in enumerate(KINDS)]
    for recording in itertools.chain.from_iterable(zip(*by_voice, strict=True)):
        wave = _trimmed(recording.wave)
        yield Recording(wave * np.float32(LEVEL / np.sqrt(np.mean(wave**2))), recording.label)


def _trimmed(wave: Wave) -> Wave:
    """Without the silence at both ends."""
    magnitude = np.abs(wave)
    loud = np.flatnonzero(magnitude > magnitude.max() * 10 ** (-SILENT_DB / 20))
    return wave[loud[0] : loud[-1] + 1]


def _stretch(
    kind: str, seconds: float, supply: Iterator[Recording], draw: random.Random, rng: np.random.Generator
) -> tuple[Pcm, list[Said]]:
    """Sentences one after another until the time is over, a second of silence around them all."""
    wave, at = _noise(kind, round(seconds * SAMPLE_RATE), rng), SAMPLE_RATE
    noise_alone = wave.copy()
    said: list[Said] = []
    for recording in supply:
        start, end = at, at + len(recording.wave)
        if end + SAMPLE_RATE > len(wave):
            break
        drop_db = draw.uniform(0, DEEPEST_DROP_DB) if kind == LEVELS else 0.0
        spoken = recording.wave * np.float32(10 ** (-drop_db / 20))
        wave[start:end] += spoken
        alone = noise_alone[start - AROUND : end + AROUND] + np.pad(spoken, AROUND)
        said.append(Said(recording.label, Span(start, end), kind, _pcm(alone)))
        at = end + round(SAMPLE_RATE * (PAUSES_S[0] if kind == NO_PAUSE else draw.uniform(*PAUSES_S)))
    return _pcm(wave), said


def _noise(kind: str, samples: int, rng: np.random.Generator) -> Wave:
    if kind not in SNR_DB:
        return np.zeros(samples, np.float32)
    level: Wave = LEVEL * 10 ** (-SNR_DB[kind] / 20) * noise(samples, float(rng.choice(NOISE_COLOURS)), rng)
    return level.astype(np.float32)


def _without_speech(kind: str, seconds: int, rng: np.random.Generator) -> Wave:
    samples = seconds * SAMPLE_RATE
    if kind == NOISE:
        return _noise(kind, samples, rng)
    sound = _claps(samples, rng) if kind == APPLAUSE else _chords(seconds, rng)
    level: Wave = (sound * LEVEL / np.sqrt(np.mean(sound**2))).astype(np.float32)
    return level


def _claps(samples: int, rng: np.random.Generator) -> Wave:
    """Sixty a second, each gone after 10 ms."""
    claps = np.zeros(samples)
    claps[rng.integers(0, samples, 60 * samples // SAMPLE_RATE)] = 1
    decay = np.exp(-np.arange(SAMPLE_RATE // 30) / (0.006 * SAMPLE_RATE))
    wave: Wave = np.convolve(claps, rng.standard_normal(len(decay)) * decay)[:samples].astype(np.float32)
    return wave


def _chords(seconds: int, rng: np.random.Generator) -> Wave:
    """One a second: three voices with overtones and vibrato, each struck and fading."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    vibrato = time + 0.0004 * np.sin(2 * np.pi * 5.5 * time)
    chords = []
    for root in rng.choice([-12, -7, -5, 0, 2, 5], seconds):
        hertz = 220 * 2 ** ((root + np.array([0, 4, 7])) / 12)
        partials = [np.sin(2 * np.pi * f * k * vibrato) / k for f in hertz for k in range(1, 9)]
        chords.append(np.sum(partials, axis=0) * np.exp(-time / 0.7))
    wave: Wave = np.concatenate(chords).astype(np.float32)
    return wave
