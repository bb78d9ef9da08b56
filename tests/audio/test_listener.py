from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from asr_core.audio.listener import AUDIBLE, MARGIN, Listener
from asr_core.audio.vad import CONTEXT, LstmState, SileroNetwork, speech_spans
from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Pcm, Span, VadOptions
from tests.audio.signals import SIGNALS, in_blocks, noise, silence, speech
from tests.audio.voices import LEVELS, QUIET_COUNTS, LoudIsSpeech, sound, voices_and_probabilities


def voices_of(network: SileroNetwork, signal: Pcm) -> tuple[list[Span], list[Span]]:
    """Spans of the voices in the sound as it is, and of those in its gaps."""
    listener = Listener(network, VadOptions())
    voices = listener.push(signal) + listener.flush()
    return [v.span for v in voices if v.certain], [v.span for v in voices if not v.certain]


def share(of: Span, spans: list[Span]) -> float:
    """How much of a stretch the spans cover."""
    covered = (min(of.end, span.end) - max(of.start, span.start) for span in spans)
    return sum(max(0, length) for length in covered) / len(of)


@settings(max_examples=100, deadline=None)
@given(levels=LEVELS, cuts=st.lists(st.integers(0), max_size=20))
def test_voices_are_those_of_the_whole_recording_whatever_the_blocks(
    levels: list[tuple[float, float]], cuts: list[int]
) -> None:
    signal = sound(levels)
    listener, found = Listener(LoudIsSpeech(), QUIET_COUNTS), []
    for block in in_blocks(signal, cuts):
        known, begun = listener.known_until, listener.open
        found += (new := listener.push(block))
        later = [*new, *([listener.open] if listener.open else [])]
        if begun is not None:
            assert (later[0].span.start, later[0].certain) == (begun.span.start, begun.certain)
            assert later.pop(0).span.end >= begun.span.end
        assert all(voice.span.start >= known for voice in later), "what was said of later voices did not hold"
    found += listener.flush()
    voices, probabilities = voices_and_probabilities(LoudIsSpeech(), signal, QUIET_COUNTS)
    assert found == voices
    np.testing.assert_array_equal(listener.speech_probs(0, len(probabilities)), probabilities)


@pytest.mark.parametrize("name", ["talk with pauses", "talk with a quiet talker", "speech in noise", "noise", "empty"])
def test_what_the_sound_as_it_is_holds_is_never_changed_by_what_its_gaps_hold(
    name: str, network: SileroNetwork
) -> None:
    assert voices_of(network, SIGNALS[name])[0] == list(speech_spans([SIGNALS[name]]))


@pytest.mark.parametrize("drop_db", [-30, -35, -40])
@pytest.mark.parametrize("times", [1, 3])
def test_a_quiet_talker_beside_a_loud_one_is_found(drop_db: int, times: int, network: SileroNetwork) -> None:
    loud, pause = speech()[: 9 * SAMPLE_RATE], silence(1)
    quiet = (speech()[9 * SAMPLE_RATE : 18 * SAMPLE_RATE] * 10 ** (drop_db / 20)).astype(np.int16)
    signal = np.concatenate([loud, pause, quiet, pause] * times)
    signal = signal + noise(len(signal) / SAMPLE_RATE, 3)
    alone = Span(len(loud) + len(pause), len(loud) + len(pause) + len(quiet))
    spoken = share(Span(0, len(quiet)), list(speech_spans([speech()[9 * SAMPLE_RATE : 18 * SAMPLE_RATE]])))
    certain, added = voices_of(network, signal)
    for turn in range(times):
        begin = turn * len(signal) // times
        where = Span(alone.start + begin, alone.end + begin)
        assert share(where, certain + added) > 0.9 * spoken


class Counting(LoudIsSpeech):
    """How many windows it has heard that are not all zeros."""

    n_windows = 0

    def forward(self, windows: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
        self.n_windows += int(windows[:, CONTEXT:].any(1).sum())
        return super().forward(windows, state)


@pytest.mark.parametrize(("faint", "times"), [(AUDIBLE, 1), (AUDIBLE + 1, 2)])
def test_a_gap_is_listened_to_again_if_there_is_anything_to_hear(faint: int, times: int) -> None:
    network, gap = Counting(), np.full(VAD_WINDOW * 100, faint, np.int16)
    gap[::2] *= -1
    listener = Listener(network, QUIET_COUNTS)
    for block in (sound([(1.0, 0.512)]), gap[: len(gap) // 3], gap[len(gap) // 3 :], sound([(1.0, 0.512)])):
        listener.push(block)
    listener.flush()
    n_of_speech, n_near_speech = 32, 2 * -(-MARGIN // VAD_WINDOW)
    assert network.n_windows == pytest.approx(n_of_speech + 100 * times - n_near_speech * (times - 1), abs=2)
