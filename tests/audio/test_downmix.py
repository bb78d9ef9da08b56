"""Sound of any channels and level → int16 mono: what people said in it, as loud as models know it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr_core.audio.downmix import WINDOW, Downmixer, Sound
from asr_core.types import INT16_SCALE, SAMPLE_RATE, Pcm
from tests.audio.recordings import decoded, each_ffmpeg, likeness
from tests.audio.signals import noise, speech

Channel = NDArray[np.float64]
SPEECH: Channel = speech() / INT16_SCALE


def two(left: Channel, right: Channel) -> Sound:
    """As ffmpeg hands over what had several channels."""
    return np.stack(((left + right) / 2, (left - right) / 2), axis=1).astype(np.float32)


def mixed(sound: Sound) -> Pcm:
    downmixer = Downmixer()
    return np.concatenate([downmixer.push(sound[at : at + WINDOW]) for at in range(0, len(sound), WINDOW)])


def loudness_db(pcm: Pcm) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(pcm.astype(float) ** 2)) / INT16_SCALE))


def correlation(pcm: Pcm | Channel, said: Channel) -> float:
    return float(np.corrcoef(pcm, said)[0, 1])


gains = st.floats(0.05, 1.0)
signs = st.sampled_from((-1, 1))


@given(gains, gains, signs, signs)
def test_one_voice_in_both_channels_is_heard_at_whatever_levels_and_phases(
    left: float, right: float, left_sign: int, right_sign: int
) -> None:
    pcm = mixed(two(SPEECH * left * left_sign, SPEECH * right * right_sign))
    assert abs(correlation(pcm, SPEECH)) > 0.98
    # Whoever has but one speaker hears half of the louder channel at least, where the other does not cancel it.
    assert loudness_db(pcm) > loudness_db((speech() * max(left, right)).astype(np.int16)) - 12


@given(gains, signs, st.booleans())
def test_a_silent_channel_takes_nothing_but_half_of_the_level(gain: float, sign: int, first: bool) -> None:
    voice, silent = SPEECH * gain * sign, np.zeros_like(SPEECH)
    pcm = mixed(two(voice, silent) if first else two(silent, voice))
    np.testing.assert_allclose(pcm, voice / 2 * INT16_SCALE, atol=1)


@given(st.integers(SAMPLE_RATE, len(SPEECH) // 2), gains)
def test_of_two_who_speak_in_their_own_channels_both_are_heard(delay: int, gain: float) -> None:
    other = np.roll(SPEECH, delay) * gain
    pcm = mixed(two(SPEECH, other))
    np.testing.assert_allclose(pcm, (SPEECH + other) / 2 * INT16_SCALE, atol=1)


@given(st.floats(0.0, 0.02), gains)
def test_channels_in_opposite_phase_and_not_quite_alike_are_heard_as_the_louder_one(hiss: float, right: float) -> None:
    """Or mixed, where no more than 0.4 of the voice cancels and its own hiss comes out that much stronger."""
    own = hiss * noise(len(SPEECH) / SAMPLE_RATE)[: len(SPEECH)] / 1000
    pcm = mixed(two(SPEECH + own, -SPEECH * right))
    assert abs(correlation(pcm, SPEECH)) > correlation(0.6 * SPEECH + own, SPEECH) - 0.005


@given(st.sampled_from((1, 2)), st.floats(-20, 40))
def test_float_sound_of_any_level_above_full_scale_is_not_clipped(n_channels: int, gain_db: float) -> None:
    loud = SPEECH * 10 ** (gain_db / 20)
    sound = loud[:, None].astype(np.float32) if n_channels == 1 else two(loud, loud)
    pcm = mixed(sound)
    for at in range(0, len(pcm), WINDOW):
        assert correlation(pcm[at : at + WINDOW], SPEECH[at : at + WINDOW]) > 0.995
    if gain_db <= 0:
        np.testing.assert_allclose(pcm, loud * INT16_SCALE, atol=1)


@given(st.lists(st.integers(1, WINDOW), max_size=3), signs)
def test_what_is_pushed_comes_out_sample_for_sample(lengths: list[int], sign: int) -> None:
    downmixer = Downmixer()
    for length in lengths:
        part = SPEECH[:length]
        assert len(downmixer.push(two(part, sign * part))) == length


def test_silence_and_hum_at_the_last_bit_stay_what_they_are() -> None:
    assert not mixed(two(np.zeros(WINDOW), np.zeros(WINDOW))).any()
    hiss = np.random.default_rng(1).normal(0, 1e-5, (2, WINDOW))
    assert np.abs(mixed(two(*hiss))).max() <= 1


LAYOUTS = {
    "opposite phase": np.array([1, -1]),
    "left alone": np.array([1, 0]),
    "right alone": np.array([0, 1]),
    "one louder than the other": np.array([1, 0.1]),
    "one louder, in opposite phase": np.array([0.3, -1]),
    "5.1, speech in the centre": np.array([0, 0, 1, 0, 0, 0]),
    "5.1, speech in all but the lowest": np.array([0.5, 0.5, 1, 0, 0.3, 0.3]),
    "5.1, speech behind": np.array([0, 0, 0, 0, 1, 1]),
    "5.1, left and right in opposite phase": np.array([1, -1, 0, 0, 0, 0]),
}


@each_ffmpeg
@pytest.mark.parametrize("encoding", ["PCM_16", "FLOAT"])
@pytest.mark.parametrize("channels", LAYOUTS.values(), ids=LAYOUTS)
def test_a_file_is_heard_wherever_in_its_channels_the_speech_is(
    channels: Channel, encoding: str, program: str, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", np.outer(SPEECH, channels), SAMPLE_RATE, encoding)
    sound = np.concatenate(decoded(tmp_path / "a.wav", ffmpeg=program))
    assert len(sound) == len(SPEECH)
    assert likeness(sound, speech()) > 0.95
    assert loudness_db(sound) > loudness_db(speech()) - 16


@each_ffmpeg
@pytest.mark.parametrize("gain_db", [-60, -20, 6, 30])
@pytest.mark.parametrize(
    "channels", [np.array([1.0]), np.array([1.0, -1.0]), LAYOUTS["5.1, speech in the centre"]], ids=len
)
def test_float_files_are_heard_whatever_their_level(
    channels: Channel, gain_db: int, program: str, tmp_path: Path
) -> None:
    loud = np.outer(SPEECH * 10 ** (gain_db / 20), channels)
    soundfile.write(tmp_path / "a.wav", loud, SAMPLE_RATE, "FLOAT")
    sound = np.concatenate(decoded(tmp_path / "a.wav", ffmpeg=program))
    assert likeness(sound, speech()) > 0.99
    if gain_db != -20:
        assert -35 < loudness_db(sound) < -6
