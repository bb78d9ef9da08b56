"""Training batches: utterances with pauses between them, one window long, disturbed in the mel domain.

Every window of a batch has the same length and is filled to its end, so training needs no padding and no masks. Noise
is added as mel power, gain and equalisation as offsets of the log-mel: what they do to the sound, at a hundredth of the
cost.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.eager import MEL_FLOOR, Preprocessor
from tools.demo_model.effects import noise
from tools.demo_model.synth import load_part, log_mel
from tools.demo_model.voices import SAMPLE_RATE

Frames = NDArray[np.float32]  # [F, M] log-mel
FRAMES_PER_SECOND = 100
NEPERS_PER_DB = float(np.log(10) / 10)  # of power
SILENCE_LOG = float(np.log(MEL_FLOOR))
ACTIVE_DB = 40.0  # below the loudest frame: where an utterance begins and ends
KIND_SHARES = {"festival": 0.48, "espeak": 0.15, "variants": 0.37}
RARE_SHARE = 0.03  # of the utterances heard
TEMPO_SHARE, TEMPOS = 0.5, (0.88, 1.14)  # of the utterances; how many times faster they are then
MOST_UTTERANCES = 16  # in a window, before the voices come round again
NOISE_COLOURS = (0.0, 0.0, 0.5, 1.0, 1.0, 1.5, 2.0)
NOISE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Utterance:
    frames: NDArray[np.float16]  # [F, M], a view of the part's file
    label: str
    lead: int  # frames of silence before the first word
    trail: int  # and after the last


@dataclass(frozen=True, slots=True)
class Batch:
    mel: NDArray[np.float32]  # [B, M, F]
    labels: list[str]


def silence_around(frames: NDArray[np.float16]) -> tuple[int, int]:
    loudness = frames.max(axis=1).astype(np.float32)
    active = np.flatnonzero(loudness > loudness.max() - ACTIVE_DB * NEPERS_PER_DB)
    return int(active[0]), int(len(frames) - 1 - active[-1])


class Corpus:
    """The parts in a folder; more may appear while training goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: set[Path] = set()
        self.pools: dict[tuple[str, bool], list[Utterance]] = defaultdict(list)
        """By kind of voice, and whether the words are rare."""
        self.refresh()

    def refresh(self) -> None:
        for described in sorted(set(self.folder.glob("part*.json")) - self.known):
            part = load_part(described)
            self.known.add(described)
            for index, (kind, rare) in enumerate(zip(part.kinds, part.rare, strict=True)):
                frames = part.frames[part.offsets[index] : part.offsets[index + 1]]
                self.pools[kind, rare].append(Utterance(frames, part.labels[index], *silence_around(frames)))


def noise_bank(seed: int) -> list[Frames]:
    """Log-mels of noises, with mean power 1 summed over the mels."""
    rng = np.random.default_rng(seed)
    preprocessor = Preprocessor()
    bank = []
    for colour in NOISE_COLOURS:
        mel = log_mel(0.1 * noise(NOISE_SECONDS * SAMPLE_RATE, colour, rng), preprocessor).astype(np.float32)
        bank.append(mel - np.log(np.exp(mel).sum(axis=1).mean()))
    return bank


class Mixer:
    """Draws batches; all randomness comes from the generator given to `batch`."""

    def __init__(self, corpus: Corpus, seed: int) -> None:
        self.corpus = corpus
        self.noises = noise_bank(seed)

    def batch(self, windows: int, frames: int, rng: np.random.Generator) -> Batch:
        drawn = [self.window(frames, rng) for _ in range(windows)]
        return Batch(np.stack([mel.T for mel, _ in drawn]), [label for _, label in drawn])

    def window(self, frames: int, rng: np.random.Generator) -> tuple[Frames, str]:
        mel, label = self.recording(frames, rng)
        if rng.random() < 0.2:
            mel += equaliser(mel.shape[1], rng)
        mel += rng.uniform(-25, 8) * NEPERS_PER_DB
        if rng.random() < 0.5:
            mel = self.with_noise(mel, rng)
        np.maximum(mel, SILENCE_LOG, out=mel)
        if rng.random() < 0.15:
            mask(mel, rng)
        return mel, label

    def recording(self, frames: int, rng: np.random.Generator) -> tuple[Frames, str]:
        """Utterances with 0.1 to 2 s between them until the window is full."""
        kinds = rng.choice(list(KIND_SHARES), size=MOST_UTTERANCES, p=list(KIND_SHARES.values()))
        if rng.random() < 0.6:  # one speaker, or at least one kind of voice
            kinds[:] = kinds[0]
        mel = np.full((frames, self.noises[0].shape[1]), SILENCE_LOG, np.float32)
        labels: list[str] = []
        at, misses = int(rng.integers(0, 30)), 0
        while misses < 6:
            pool = self.corpus.pools[str(kinds[len(labels) % MOST_UTTERANCES]), bool(rng.random() < RARE_SHARE)]
            utterance = pool[rng.integers(len(pool))]
            # Speech spans are cut close to the words, so windows begin and end anywhere in the silence.
            first = int(rng.integers(0, utterance.lead + 1))
            last = len(utterance.frames) - int(rng.integers(0, utterance.trail + 1))
            tempo = rng.uniform(*TEMPOS) if rng.random() < TEMPO_SHARE else 1.0
            length = int((last - first) / tempo)
            if length > frames - at:
                misses += 1
                continue
            spoken = utterance.frames[first:last]
            mel[at : at + length] = spoken if tempo == 1.0 else at_tempo(spoken, length)
            mel[at : at + length] += rng.uniform(-3, 3) * NEPERS_PER_DB
            labels.append(utterance.label)
            at += length + int(rng.choice([rng.integers(10, 60), rng.integers(20, 200)]))
        return mel, " ".join(labels)

    def with_noise(self, mel: Frames, rng: np.random.Generator) -> Frames:
        """5 to 35 dB below the speech, through the pauses too."""
        bank = self.noises[rng.integers(len(self.noises))]
        start = rng.integers(len(bank) - len(mel))
        power = np.exp(mel)
        total = power.sum(axis=1)
        speech = total[total > total.max() * 1e-3].mean()
        level = float(np.log(speech + 1e-12)) - rng.uniform(5, 35) * NEPERS_PER_DB
        noisy: Frames = np.log(power + np.exp(bank[start : start + len(mel)] + level))
        return noisy


def at_tempo(frames: NDArray[np.float16], length: int) -> Frames:
    """Stretched or shortened to `length` frames at the same pitch, by linear interpolation of the log-mels."""
    position = np.linspace(0, len(frames) - 1, length)
    before = position.astype(np.intp)
    after = np.minimum(before + 1, len(frames) - 1)
    share = (position - before).astype(np.float32)[:, None]
    stretched: Frames = frames[before] * (1 - share) + frames[after] * share
    return stretched


def equaliser(mels: int, rng: np.random.Generator) -> Frames:
    """A smooth curve of a few dB, and sometimes a band limit."""
    position = np.linspace(0, 1, mels)
    curve = sum(rng.normal(0, 3.0) * np.cos(np.pi * order * position) for order in (1, 2, 3)) * np.ones(mels)
    if rng.random() < 0.4:
        curve = curve - rng.uniform(20, 50) * (position > rng.uniform(0.68, 1.0))
    if rng.random() < 0.25:
        curve = curve - rng.uniform(10, 40) * (position < rng.uniform(0.0, 0.12))
    offsets: Frames = (curve * NEPERS_PER_DB).astype(np.float32)[None]
    return offsets


def mask(mel: Frames, rng: np.random.Generator) -> None:
    """SpecAugment, lightly: two bands of up to 8 mels, one gap of up to 80 ms for each 2 s."""
    middle = float(mel.mean())
    for _ in range(2):
        width = int(rng.integers(0, 9))
        start = int(rng.integers(0, mel.shape[1] - width))
        mel[:, start : start + width] = middle
    for _ in range(len(mel) // (2 * FRAMES_PER_SECOND)):
        start = int(rng.integers(0, len(mel)))
        mel[start : start + int(rng.integers(0, 9))] = middle
