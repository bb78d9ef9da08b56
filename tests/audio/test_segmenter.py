from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from asr_core.audio.chunking import ChunkPolicy, merge
from asr_core.audio.hysteresis import SpeechSpans
from asr_core.audio.segmenter import Segmenter
from asr_core.audio.vad import CONTEXT, LstmState, SileroNetwork, SpeechProbabilities, speech_spans
from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Chunk, Pcm, Probabilities, Span, VadOptions
from tests.audio.signals import SIGNALS, in_blocks, silence, speech

SHORT = ChunkPolicy.from_seconds(min_duration=1.5, max_duration=2.2, strict_limit=3, new_chunk_threshold=0.2)
"""GigaAM's durations divided by ten, to see much happen in little sound."""

runs = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.05, 0.12, 0.2, 0.3, 0.5, 1.0, 1.0]), st.floats(0.01, 4)), max_size=12
)
"""Sound of which `LoudIsSpeech` says (probability, seconds)."""


class LoudIsSpeech(SileroNetwork):
    """A network to know the answers of: a window's mean level is its probability of speech."""

    def forward(self, windows: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
        return windows[:, CONTEXT:].mean(1), state


def sound(runs: list[tuple[float, float]]) -> Pcm:
    levels = [np.full(round(seconds * SAMPLE_RATE), 32767 * level, np.int16) for level, seconds in runs]
    return np.concatenate([silence(0), *levels])


def segmented(segmenter: Segmenter, blocks: list[Pcm]) -> list[Chunk]:
    return [chunk for block in blocks for chunk in segmenter.push(block)] + segmenter.flush()


def contents(chunks: list[Chunk]) -> list[tuple[int, Span, bytes, bytes]]:
    return [(chunk.index, chunk.span, chunk.pcm.tobytes(), chunk.speech_probs.tobytes()) for chunk in chunks]


def all_at_once(network: SileroNetwork, signal: Pcm, policy: ChunkPolicy) -> tuple[list[Span], Probabilities]:
    """The chunk spans of a long recording, found with all of it in hand, and its windows' probabilities."""
    stream, detector = SpeechProbabilities(network), SpeechSpans(VadOptions())
    probabilities = np.concatenate((stream.push(signal), stream.flush()))
    spans = detector.push(probabilities) + detector.flush(len(signal))

    def quietest(window: Span) -> int:
        inside = [
            index
            for index in range(len(probabilities))
            if window.start <= index * VAD_WINDOW and (index + 1) * VAD_WINDOW <= window.end
        ]
        best = min(inside, key=lambda index: (probabilities[index], -index))
        return best * VAD_WINDOW + VAD_WINDOW // 2

    return list(merge(spans, policy, quietest)), probabilities


@settings(max_examples=60, deadline=None)
@given(runs=runs, cuts=st.lists(st.integers(0), max_size=20))
def test_chunks_are_those_of_the_whole_recording_whatever_the_blocks(
    runs: list[tuple[float, float]], cuts: list[int]
) -> None:
    network, signal = LoudIsSpeech(), sound([*runs, (1.0, 0.4), (0.0, 2.2)])
    chunks = segmented(Segmenter(network, SHORT, VadOptions(), whole_limit_s=2.5), in_blocks(signal, cuts))
    spans, probabilities = all_at_once(network, signal, SHORT)
    assert [chunk.span for chunk in chunks] == spans
    assert [chunk.index for chunk in chunks] == list(range(len(spans)))
    for chunk in chunks:
        windows = slice(chunk.span.start // VAD_WINDOW, -(-chunk.span.end // VAD_WINDOW))
        np.testing.assert_array_equal(chunk.pcm, signal[chunk.span.start : chunk.span.end])
        np.testing.assert_array_equal(chunk.speech_probs, probabilities[windows])


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0), max_size=40))
def test_a_real_recording_s_chunks_are_the_same_bit_for_bit_whatever_the_blocks(
    network: SileroNetwork, cuts: list[int]
) -> None:
    signal = SIGNALS["talk with pauses"]
    chunks = [
        contents(segmented(Segmenter(network, SHORT, VadOptions()), blocks))
        for blocks in ([signal], in_blocks(signal, cuts))
    ]
    assert len(chunks[0]) > 10
    assert chunks[0] == chunks[1]


def test_every_speech_sample_of_a_real_recording_is_in_one_chunk(network: SileroNetwork) -> None:
    signal = SIGNALS["talk with pauses"]
    heard = np.zeros(len(signal), int)
    for chunk in segmented(Segmenter(network, ChunkPolicy(), VadOptions()), [signal]):
        heard[chunk.span.start : chunk.span.end] += 1
    assert heard.max() == 1
    assert all(heard[span.start : span.end].all() for span in speech_spans([signal]))


@pytest.mark.parametrize("block", [511, 16_000, 10 * SAMPLE_RATE, 26 * SAMPLE_RATE])
@pytest.mark.parametrize("signal", [silence(25), np.resize(speech(), 25 * SAMPLE_RATE), speech()[:1]])
def test_a_recording_of_up_to_25_s_is_one_chunk_whole(signal: Pcm, block: int, network: SileroNetwork) -> None:
    blocks = [signal[start : start + block] for start in range(0, len(signal), block)]
    (chunk,) = segmented(Segmenter(network, ChunkPolicy(), VadOptions()), blocks)
    assert (chunk.index, chunk.span) == (0, Span(0, len(signal)))
    np.testing.assert_array_equal(chunk.pcm, signal)
    assert len(chunk.speech_probs) == -(-len(signal) // VAD_WINDOW)


def test_a_longer_recording_loses_its_silence() -> None:
    signal = sound([(0, 4), (1, 2), (0, 20), (1, 2), (0, 4)])
    chunks = segmented(Segmenter(LoudIsSpeech(), ChunkPolicy(), VadOptions()), [signal])
    assert [(round(chunk.span.start_s, 1), round(chunk.span.end_s, 1)) for chunk in chunks] == [(4, 6), (26, 28)]


@pytest.mark.parametrize("seconds", [0, 26])
def test_without_sound_or_in_a_long_silence_there_is_no_chunk(seconds: int, network: SileroNetwork) -> None:
    assert segmented(Segmenter(network, ChunkPolicy(), VadOptions()), [silence(seconds)]) == []


def test_a_strict_limit_below_25_s_holds_for_short_recordings_too() -> None:
    policy = ChunkPolicy.from_seconds(min_duration=5, max_duration=8, strict_limit=10, new_chunk_threshold=0.2)
    chunks = segmented(Segmenter(LoudIsSpeech(), policy, VadOptions()), [sound([(1, 12)])])
    assert max(len(chunk.span) for chunk in chunks) <= policy.strict_limit


def test_speech_without_a_pause_is_cut_where_it_is_least_likely() -> None:
    signal = sound([(1, 20.3), (0.6, 0.1), (1, 12)])
    chunks = segmented(Segmenter(LoudIsSpeech(), ChunkPolicy(), VadOptions()), [signal])
    assert [round(chunk.span.end_s, 1) for chunk in chunks] == [20.4, 32.4]


@pytest.mark.parametrize(
    ("hour", "spoken"),
    [
        pytest.param([(0.0, 3600)], 0, id="silence"),
        pytest.param([(1.0, 3600)], 10 * 3600, id="speech without a pause"),
        pytest.param([(1.0, 1), (0.0, 1), (0.2, 3598)], 10, id="a word, then nothing but doubt"),
        pytest.param([(1.0, 30), (0.0, 0.08)] * 119 + [(1.0, 20.48)], 10 * 3600, id="pauses too short to count"),
    ],
)
def test_ten_hours_of_anything_take_no_more_memory_than_two_minutes(
    hour: list[tuple[float, float]], spoken: float
) -> None:
    segmenter, one_hour, seconds = Segmenter(LoudIsSpeech(), ChunkPolicy(), VadOptions()), sound(hour), 0.0
    blocks = [slice(start, start + 5 * SAMPLE_RATE) for start in range(0, len(one_hour), 5 * SAMPLE_RATE)]
    tracemalloc.start()
    for _ in range(10):
        for block in blocks:
            seconds += sum(len(chunk.span) for chunk in segmenter.push(one_hour[block].copy())) / SAMPLE_RATE
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    seconds += sum(len(chunk.span) for chunk in segmenter.flush()) / SAMPLE_RATE
    assert peak < 120 * SAMPLE_RATE * one_hour.itemsize
    assert seconds == pytest.approx(spoken, rel=0.02, abs=5)
