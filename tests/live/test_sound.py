"""Sound as clients send it."""

from __future__ import annotations

import itertools
import subprocess

import numpy as np
import pytest
import torch
import torchaudio.functional  # type: ignore[import-untyped]  # published without types
from hypothesis import given
from hypothesis import strategies as st

from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.live.sound import Encoding, Intake, Rate
from asr_core.types import Pcm


def voice(rate: int, seconds: float = 1.0) -> Pcm:
    """Tones of the band that every rate has."""
    time = np.arange(int(rate * seconds)) / rate
    return np.asarray(6000 * (np.sin(2 * np.pi * 300 * time) + np.sin(2 * np.pi * 2700 * time)), np.int16)


@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
def test_sound_of_any_rate_is_the_same_sound_at_16_khz(rate: Rate) -> None:
    heard = Intake("audio/pcm", rate).push(voice(rate).tobytes())[200:-200]
    assert np.abs(heard - voice(16_000)[200 : 200 + len(heard)].astype(int)).max() < 60


def test_what_16_khz_cannot_hold_is_left_out() -> None:
    time = np.arange(24_000) / 24_000
    high = np.asarray(16_000 * np.sin(2 * np.pi * 10_000 * time), np.int16)
    assert np.abs(Intake("audio/pcm", 24_000).push(high.tobytes())[200:-200]).max() < 40


def test_the_resampler_agrees_with_torchaudios() -> None:
    sound = np.random.default_rng(0).normal(0, 2000, 24_000)
    low = np.convolve(sound, np.ones(8) / 8, mode="same").astype(np.int16)  # little near the edge of the band
    heard = Intake("audio/pcm", 24_000).push(low.tobytes()).astype(np.float64)
    wanted = torchaudio.functional.resample(torch.from_numpy(low.astype(np.float64)), 24_000, 16_000, 64).numpy()
    inner = slice(500, len(heard) - 500)
    assert np.sqrt(np.mean((heard[inner] - wanted[inner]) ** 2)) < 0.05 * np.std(wanted)


@given(st.lists(st.integers(0, 999), max_size=20), st.sampled_from([8_000, 16_000, 24_000, 48_000]))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int], rate: Rate) -> None:
    data = np.random.default_rng(1).integers(-30_000, 30_000, 3_000).astype(np.int16).tobytes()
    whole = Intake("audio/pcm", rate).push(data)
    intake, places = Intake("audio/pcm", rate), sorted({0, *(6 * cut + cut % 2 for cut in cuts), len(data)})
    pieces = [intake.push(data[start:end]) for start, end in itertools.pairwise(places)]
    assert np.array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize(("encoding", "format_"), [("audio/pcmu", "mulaw"), ("audio/pcma", "alaw")])
def test_g711_is_decoded_as_ffmpeg_decodes_it(encoding: Encoding, format_: str) -> None:
    codes = bytes(range(256))
    command = [find_ffmpeg(), "-v", "error", "-f", format_, "-ar", "16000", "-i", "-", "-f", "s16le", "-"]
    decoded = subprocess.run(command, input=codes, capture_output=True, check=True).stdout
    assert Intake(encoding, 16_000).push(codes).tobytes() == decoded
