"""Ordinary sound stays as it is; what int16 cannot hold is brought to a level, and channels do not cancel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr_core.audio.levels import WINDOW, Leveller, Sound
from asr_core.types import SAMPLE_RATE, Pcm
from tests.audio.signals import noise, speech

VOICE = speech()[:WINDOW].astype(np.float32) / 32768


def levelled(*windows: NDArray[np.float32]) -> list[Pcm]:
    leveller = Leveller()
    return [leveller.push(window.reshape(-1, 1)) for window in windows]


def mixed(left: NDArray[np.float32], right: NDArray[np.float32]) -> Sound:
    return np.stack(((left + right) / 2, (left - right) / 2), axis=1)


@settings(max_examples=30)
@given(decibels=st.floats(-25, 8), seed=st.integers(0, 99))
def test_ordinary_levels_stay_bit_for_bit(decibels: float, seed: int) -> None:
    pcm = np.clip(speech()[:WINDOW] * 10 ** (decibels / 20), -32768, 32767).astype(np.int16)
    hum = (noise(10) // 200).astype(np.int16)
    for window in (pcm, hum, pcm[: SAMPLE_RATE * (1 + seed % 9)]):
        np.testing.assert_array_equal(levelled(window.astype(np.float32) / 32768)[0], window)


@pytest.mark.parametrize("decibels", [15, 20, 40, 80])
def test_what_is_beyond_full_scale_is_turned_down_and_not_clipped(decibels: int) -> None:
    (pcm,) = levelled(VOICE * np.float32(10 ** (decibels / 20)))
    assert 0.2 < np.abs(pcm).max() / 32768 < 1
    assert np.corrcoef(pcm, VOICE)[0, 1] > 0.9999


@pytest.mark.parametrize("decibels", [-40, -60, -70])
def test_what_is_faint_is_turned_up_with_all_that_is_in_it(decibels: int) -> None:
    (pcm,) = levelled(VOICE * np.float32(10 ** (decibels / 20)))
    assert 0.2 < np.quantile(np.abs(pcm), 0.999) / 32768 < 0.8
    assert np.corrcoef(pcm, VOICE)[0, 1] > 0.999


FAINT = {
    "silence": np.zeros(WINDOW, np.float32),
    "noise": noise(10).astype(np.float32) / 32768 * 1e-3,
    "a hum": np.sin(np.arange(WINDOW) / 50).astype(np.float32) * np.float32(1e-3),
    "dither": np.random.default_rng(1).integers(-1, 2, WINDOW).astype(np.float32) / 32768,
}


@pytest.mark.parametrize("sound", FAINT.values(), ids=FAINT)
def test_what_is_faint_and_no_speech_stays_faint(sound: NDArray[np.float32]) -> None:
    (pcm,) = levelled(sound)
    np.testing.assert_allclose(pcm, sound * 32768, atol=0.5)


def test_a_pause_after_speech_is_not_turned_up_and_speech_after_a_faint_beginning_is_as_it_was() -> None:
    faint = VOICE * np.float32(1e-3)
    ordinary = (VOICE * 32768).astype(np.int16)
    np.testing.assert_array_equal(levelled(VOICE, faint)[1], np.rint(faint * 32768))
    np.testing.assert_array_equal(levelled(faint, VOICE)[1], ordinary)


def test_a_click_does_not_turn_the_speech_down() -> None:
    clicking = VOICE.copy()
    clicking[5000:5020] = 50
    (pcm,) = levelled(clicking)
    np.testing.assert_array_equal(np.delete(pcm, np.s_[5000:5020]), np.delete(VOICE * 32768, np.s_[5000:5020]))
    assert pcm[5010] == 32767


OPPOSITE = {
    "equally loud": (1.0, -1.0, 0.0),
    "one louder": (1.0, -0.7, 0.0),
    "the other louder": (-0.7, 1.0, 0.0),
    "with noise on both": (1.0, -1.0, 0.01),
}


@pytest.mark.parametrize(("left", "right", "hiss"), OPPOSITE.values(), ids=OPPOSITE)
def test_channels_in_opposite_phase_do_not_cancel(left: float, right: float, hiss: float) -> None:
    noises = np.random.default_rng(3).normal(0, hiss, (2, WINDOW)).astype(np.float32)
    sound = mixed(VOICE * np.float32(left) + noises[0], VOICE * np.float32(right) + noises[1])
    pcm = Leveller().push(sound)
    assert np.corrcoef(np.abs(pcm), np.abs(VOICE))[0, 1] > 0.9
    assert np.abs(pcm).max() > 0.9 * np.abs(VOICE).max() * 32768


def test_a_voice_in_the_middle_is_heard_below_loud_sound_in_opposite_phase() -> None:
    effect = noise(10).astype(np.float32) / 32768 * 8
    pcm = Leveller().push(mixed(VOICE * 0.5 + effect, VOICE * 0.5 - effect)).astype(np.float32) / 32768
    without_effect = min((pcm - effect, pcm + effect), key=lambda rest: float(rest @ rest))
    assert np.corrcoef(without_effect, VOICE)[0, 1] > 0.9


ORDINARY = {
    "in the middle": (VOICE, VOICE),
    "on the left alone": (VOICE, np.zeros_like(VOICE)),
    "two people, one on each side": (VOICE, np.roll(VOICE[::-1], 77)),
    "one microphone a little later": (VOICE, np.roll(VOICE, 8)),
}


@pytest.mark.parametrize(("left", "right"), ORDINARY.values(), ids=ORDINARY)
def test_ordinary_stereo_is_the_mean_of_its_channels(left: NDArray[np.float32], right: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(Leveller().push(mixed(left, right)), (left + right) / 2 * 32768, atol=0.51)
