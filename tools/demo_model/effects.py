"""What rooms, lines and codecs do to a recording. Training adds gain and noise itself, in the mel domain: mixing.py."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence

import numpy as np

from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.types import INT16_SCALE
from tools.demo_model.voices import SAMPLE_RATE, Wave

CODECS = {  # ffmpeg's output options: container, then encoder
    "mp3": ["-f", "mp3", "-c:a", "libmp3lame", "-b:a", "32k"],
    "opus": ["-f", "ogg", "-c:a", "libopus", "-b:a", "14k"],
    "telephone": ["-f", "wav", "-ar", "8000", "-c:a", "pcm_mulaw"],
    "gsm": ["-f", "gsm", "-ar", "8000", "-c:a", "libgsm"],
}
PLAIN = ["-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1"]
GAP = SAMPLE_RATE // 5  # between recordings that go through one encoder run


def noise(samples: int, colour: float, rng: np.random.Generator) -> Wave:
    """Power falling as 1 / f ** colour: 0 is white, 1 pink, 2 brown; mean square 1."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), 50.0)
    shaped = np.fft.irfft(spectrum * frequency ** (-colour / 2), samples)
    level: Wave = (shaped / np.sqrt(np.mean(shaped**2))).astype(np.float32)
    return level


def with_noise(wave: Wave, snr_db: float, colour: float, rng: np.random.Generator) -> Wave:
    level = np.sqrt(np.mean(wave**2)) * 10 ** (-snr_db / 20)
    noisy: Wave = wave + level * noise(len(wave), colour, rng)
    return noisy


def reverberate(wave: Wave, rng: np.random.Generator) -> Wave:
    """A room of decaying noise: 0.15 to 0.6 s to fall by 60 dB, at 0 to 12 dB below the direct sound."""
    decay_s, below_db = rng.uniform(0.15, 0.6), rng.uniform(0.0, 12.0)
    time = np.arange(int(decay_s * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay_s)
    tail *= 10 ** (-below_db / 20) / np.sqrt(np.sum(tail**2))
    size = 1 << (len(wave) + len(tail)).bit_length()
    room = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(tail, size), size)[: len(wave)]
    mixed = wave + room
    as_loud: Wave = (mixed * (np.abs(wave).max() / max(float(np.abs(mixed).max()), 1e-6))).astype(np.float32)
    return as_loud


def ffmpeg(sound: bytes, source: list[str], target: list[str]) -> bytes:
    command = [find_ffmpeg(), "-v", "error", *source, "-i", "-", *target, "-"]
    return subprocess.run(command, input=sound, capture_output=True, check=True).stdout


def through_codec(waves: Sequence[Wave], codec: str) -> list[Wave]:
    """All recordings through one encoder and back, joined by gaps so that starting ffmpeg is paid once."""
    joined = np.concatenate([np.concatenate([wave, np.zeros(GAP, np.float32)]) for wave in waves])
    pcm = (np.clip(joined, -1, 1) * 32767).astype("<i2").tobytes()
    coded = ffmpeg(pcm, PLAIN, CODECS[codec])
    pcm_back = np.frombuffer(ffmpeg(coded, CODECS[codec][:2], PLAIN), "<i2")
    heard = pcm_back.astype(np.float32) / np.float32(INT16_SCALE)
    heard = np.pad(heard, (0, max(0, len(joined) - len(heard)))).astype(np.float32)
    ends = np.cumsum([len(wave) + GAP for wave in waves])
    return [heard[end - GAP - len(wave) : end - GAP].copy() for wave, end in zip(waves, ends, strict=True)]


def disturb(waves: list[Wave], seed: int, share: float) -> list[Wave]:
    """A share of the recordings through a room, and as many through a codec."""
    draw, rng = random.Random(seed), np.random.default_rng(seed)
    changed = [reverberate(wave, rng) if draw.random() < share else wave for wave in waves]
    for codec in CODECS:
        chosen = [index for index in range(len(changed)) if draw.random() < share / len(CODECS)]
        if chosen:
            for index, wave in zip(chosen, through_codec([changed[i] for i in chosen], codec), strict=True):
                changed[index] = wave
    return changed
