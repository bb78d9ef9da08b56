from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr_core.audio.chunking import ChunkPolicy, merge
from asr_core.audio.levels import evened
from asr_core.audio.listener import MARGIN, Voice
from asr_core.audio.segmenter import APART, LATE, PERHAPS, Segmenter
from asr_core.audio.vad import SileroNetwork, speech_spans
from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Chunk, Pcm, Probabilities, Span, VadOptions
from tests.audio.signals import SIGNALS, WITHOUT_SPEECH, in_blocks, silence, speech
from tests.audio.voices import LEVELS, QUIET_COUNTS, LoudIsSpeech, sound, voices_and_probabilities

SHORT = ChunkPolicy.from_seconds(min_duration=1.5, max_duration=2.2, strict_limit=3, new_chunk_threshold=0.2)
"""GigaAM's durations divided by ten, to see much happen in little sound."""


def segmented(segmenter: Segmenter, blocks: list[Pcm]) -> list[Chunk]:
    return [chunk for block in blocks for chunk in segmenter.push(block)] + segmenter.flush()


def contents(chunks: list[Chunk]) -> list[tuple[object, ...]]:
    return [
        (
            chunk.index,
            chunk.span,
            chunk.heard,
            chunk.doubtful,
            chunk.unspoken,
            chunk.goes_on,
            chunk.pcm.tobytes(),
            chunk.speech_probs.tobytes(),
        )
        for chunk in chunks
    ]


def spans_all_at_once(voices: list[Voice], probabilities: Probabilities, policy: ChunkPolicy) -> list[Span]:
    """The chunk spans of a long recording, found with all of it in hand."""

    def quietest(window: Span) -> int:
        inside = [
            index
            for index in range(len(probabilities))
            if window.start <= index * VAD_WINDOW and (index + 1) * VAD_WINDOW <= window.end
        ]
        best = min(inside, key=lambda index: (probabilities[index], -index))
        return best * VAD_WINDOW + VAD_WINDOW // 2

    return list(merge([voice.span for voice in voices], policy, quietest))


def within(span: Span, voices: list[Voice]) -> list[Span]:
    """The voices as far as they are in `span`."""
    clipped = [(max(voice.span.start, span.start), min(voice.span.end, span.end)) for voice in voices]
    return [Span(start, end) for start, end in clipped if start < end]


def near(voices: list[Voice], margin: int, n_samples: int) -> NDArray[np.bool_]:
    """Which samples are within `margin` of a voice."""
    samples = np.zeros(n_samples, bool)
    for voice in voices:
        samples[max(voice.span.start - margin, 0) : voice.span.end + margin] = True
    return samples


@settings(max_examples=60, deadline=None)
@given(levels=LEVELS, cuts=st.lists(st.integers(0), max_size=20))
def test_chunks_are_those_of_the_whole_recording_whatever_the_blocks(
    levels: list[tuple[float, float]], cuts: list[int]
) -> None:
    network, signal = LoudIsSpeech(), sound([*levels, (1.0, 0.4), (0.0, 2.2)])
    chunks = segmented(Segmenter(network, SHORT, QUIET_COUNTS, whole_limit_s=2.5), in_blocks(signal, cuts))
    voices, probabilities = voices_and_probabilities(network, signal, QUIET_COUNTS)
    assert [chunk.span for chunk in chunks] == spans_all_at_once(voices, probabilities, SHORT)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        heard = chunk.heard

        def is_speech(part: Span, origin: int = heard.start) -> bool:
            first, last = (origin + part.start) // VAD_WINDOW, -(-(origin + part.end) // VAD_WINDOW)
            return bool(probabilities[first:last].mean() >= QUIET_COUNTS.threshold)

        windows = slice(heard.start // VAD_WINDOW, -(-heard.end // VAD_WINDOW))
        np.testing.assert_array_equal(chunk.speech_probs, probabilities[windows])
        inside = [Span(span.start - heard.start, span.end - heard.start) for span in within(chunk.span, voices)]
        np.testing.assert_array_equal(chunk.pcm, evened(signal[heard.start : heard.end], inside, is_speech))
        certain = near([voice for voice in voices if voice.certain], MARGIN, len(signal))
        for spans, spoken in ((chunk.doubtful, certain), (chunk.unspoken, near(voices, APART, len(signal)))):
            outside = np.zeros(len(signal), bool)
            for span in spans:
                outside[span.start : span.end] = True
            np.testing.assert_array_equal(outside[heard.start : heard.end], ~spoken[heard.start : heard.end])


def lateness(before: Chunk, chunk: Chunk, probabilities: Probabilities) -> int:
    """From a window ahead of the first that may be speech, in the gap and not long before the chunk, to the chunk."""
    earliest = max(before.span.end, chunk.span.start - LATE)
    perhaps = [
        (index - 1) * VAD_WINDOW
        for index, probability in enumerate(probabilities)
        if earliest <= index * VAD_WINDOW <= chunk.span.start - VAD_WINDOW and probability >= PERHAPS
    ]
    return chunk.span.start - min(perhaps, default=chunk.span.start)


@settings(max_examples=60, deadline=None)
@given(levels=LEVELS)
def test_a_chunk_is_heard_with_half_of_the_silence_around_it_or_with_the_other_side_of_a_cut(
    levels: list[tuple[float, float]],
) -> None:
    signal = sound([*levels, (1.0, 4.0), (0.0, 2.2)])
    chunks = segmented(Segmenter(LoudIsSpeech(), SHORT, QUIET_COUNTS, whole_limit_s=2.5), [signal])
    _, probabilities = voices_and_probabilities(LoudIsSpeech(), signal, QUIET_COUNTS)
    for chunk in chunks:
        assert chunk.heard.start >= 0
        assert chunk.heard.end <= len(signal)
        assert len(chunk.pcm) == len(chunk.heard) <= SHORT.strict_limit
    for before, after in pairwise(chunks):
        silent = after.span.start - before.span.end
        if before.goes_on:
            assert silent == 0
            room = min(SHORT.strict_limit - len(before.span) - before.before, len(signal) - before.span.end)
            assert before.after == min(SHORT.overlap, room)
            assert after.before == min(SHORT.overlap, SHORT.strict_limit - len(after.span))
        else:
            assert silent > 0
            assert before.heard.end <= after.heard.start
            room = SHORT.strict_limit - len(after.span)
            assert after.before == min(max(MARGIN, lateness(before, after, probabilities)), silent // 2, room)
    assert not chunks or not chunks[-1].goes_on


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0), max_size=40))
def test_a_real_recording_s_chunks_are_the_same_bit_for_bit_whatever_the_blocks(
    network: SileroNetwork, cuts: list[int]
) -> None:
    signal = SIGNALS["talk with a quiet talker"]
    chunks = [
        contents(segmented(Segmenter(network, SHORT, VadOptions()), blocks))
        for blocks in ([signal], in_blocks(signal, cuts))
    ]
    assert len(chunks[0]) > 10
    assert chunks[0] == chunks[1]


def test_every_speech_sample_of_a_real_recording_is_in_one_chunk_s_span(network: SileroNetwork) -> None:
    signal = SIGNALS["talk with pauses"]
    owned = np.zeros(len(signal), int)
    for chunk in segmented(Segmenter(network, ChunkPolicy(), VadOptions()), [signal]):
        owned[chunk.span.start : chunk.span.end] += 1
    assert owned.max() == 1
    assert all(owned[span.start : span.end].all() for span in speech_spans([signal]))


def test_ordinary_speech_reaches_the_model_as_it_is(network: SileroNetwork) -> None:
    signal = SIGNALS["talk with pauses"]
    for chunk in segmented(Segmenter(network, ChunkPolicy(), VadOptions()), [signal]):
        np.testing.assert_array_equal(chunk.pcm, signal[chunk.heard.start : chunk.heard.end])


@pytest.mark.parametrize("block", [511, 16_000, 10 * SAMPLE_RATE, 26 * SAMPLE_RATE])
@pytest.mark.parametrize("signal", [np.resize(speech(), 25 * SAMPLE_RATE), speech()[: SAMPLE_RATE + 1]])
def test_a_recording_of_up_to_25_s_in_which_somebody_speaks_is_one_chunk_whole(
    signal: Pcm, block: int, network: SileroNetwork
) -> None:
    blocks = [signal[start : start + block] for start in range(0, len(signal), block)]
    (chunk,) = segmented(Segmenter(network, ChunkPolicy(), VadOptions()), blocks)
    assert (chunk.index, chunk.span, chunk.heard) == (0, Span(0, len(signal)), Span(0, len(signal)))
    np.testing.assert_array_equal(chunk.pcm, signal)
    assert len(chunk.speech_probs) == -(-len(signal) // VAD_WINDOW)


@pytest.mark.parametrize("seconds", [0, 0.3, 3, 20, 26])
@pytest.mark.parametrize("name", WITHOUT_SPEECH)
def test_where_nobody_speaks_there_is_no_chunk_at_any_length(name: str, seconds: float, network: SileroNetwork) -> None:
    signal = WITHOUT_SPEECH[name][: round(seconds * SAMPLE_RATE)]
    assert segmented(Segmenter(network, ChunkPolicy(), VadOptions()), [signal]) == []


@pytest.mark.parametrize("seconds", [20, 40])
def test_the_threshold_means_the_same_at_every_length(seconds: float) -> None:
    signal = sound([(0.0, 2), (0.5, 3), (0.0, seconds - 5)])
    for threshold, heard in [(0.4, True), (0.6, False)]:
        segmenter = Segmenter(LoudIsSpeech(), ChunkPolicy(), VadOptions(threshold=threshold))
        assert bool(segmented(segmenter, [signal])) is heard


@pytest.mark.parametrize("seconds", [0.0, 0.3, 2.0, 30.0])
def test_a_word_too_short_for_the_vad_is_heard_where_nothing_else_is(seconds: float, network: SileroNetwork) -> None:
    word = speech()[round(0.36 * SAMPLE_RATE) : round(0.52 * SAMPLE_RATE)]
    signal = np.concatenate([silence(seconds), word, silence(seconds)])
    assert len(segmented(Segmenter(network, ChunkPolicy(), VadOptions()), [signal])) == 1


def test_a_chunk_is_heard_from_where_speech_may_begin_if_the_vad_is_late() -> None:
    signal = sound([(0, 20), (0.06, 0.4), (1, 2), (0, 20)])
    (chunk,) = segmented(Segmenter(LoudIsSpeech(), ChunkPolicy(), VadOptions()), [signal])
    assert chunk.span.start_s == pytest.approx(20.4, abs=0.06)
    assert 19.9 < chunk.heard.start_s < 20


def test_a_longer_recording_loses_its_silence() -> None:
    signal = sound([(0, 4), (1, 2), (0, 20), (1, 2), (0, 4)])
    chunks = segmented(Segmenter(LoudIsSpeech(), ChunkPolicy(), VadOptions()), [signal])
    assert [(round(chunk.span.start_s, 1), round(chunk.span.end_s, 1)) for chunk in chunks] == [(4, 6), (26, 28)]


def test_a_strict_limit_below_25_s_holds_for_short_recordings_too() -> None:
    policy = ChunkPolicy.from_seconds(min_duration=5, max_duration=8, strict_limit=10, new_chunk_threshold=0.2)
    chunks = segmented(Segmenter(LoudIsSpeech(), policy, VadOptions()), [sound([(1, 12)])])
    assert max(len(chunk.heard) for chunk in chunks) <= policy.strict_limit


def test_speech_without_a_pause_is_cut_where_it_is_least_likely() -> None:
    signal = sound([(1, 20.3), (0.6, 0.1), (1, 12)])
    chunks = segmented(Segmenter(LoudIsSpeech(), ChunkPolicy(), VadOptions()), [signal])
    assert [round(chunk.span.end_s, 1) for chunk in chunks] == [20.4, 32.4]
    assert [(round(chunk.heard.start_s, 1), round(chunk.heard.end_s, 1)) for chunk in chunks] == [
        (0, 21.9),
        (18.9, 32.4),
    ]


@pytest.mark.parametrize(
    ("hour", "spoken"),
    [
        pytest.param([(0.0, 3600)], 0, id="silence"),
        pytest.param([(1.0, 3600)], 2 * 3600, id="speech without a pause"),
        pytest.param([(1.0, 1), (0.0, 1), (0.2, 3598)], 2, id="a word, then nothing but doubt"),
        pytest.param([(1.0, 30), (0.0, 0.08)] * 119 + [(1.0, 20.48)], 2 * 3600, id="pauses too short to count"),
    ],
)
def test_two_hours_of_anything_take_no_more_memory_than_two_minutes(
    hour: list[tuple[float, float]], spoken: float
) -> None:
    segmenter, one_hour, seconds = Segmenter(LoudIsSpeech(), ChunkPolicy(), VadOptions()), sound(hour), 0.0
    blocks = [slice(start, start + 5 * SAMPLE_RATE) for start in range(0, len(one_hour), 5 * SAMPLE_RATE)]
    tracemalloc.start()
    for _ in range(2):
        for block in blocks:
            seconds += sum(len(chunk.span) for chunk in segmenter.push(one_hour[block].copy())) / SAMPLE_RATE
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    seconds += sum(len(chunk.span) for chunk in segmenter.flush()) / SAMPLE_RATE
    assert peak < 120 * SAMPLE_RATE * one_hour.itemsize
    assert seconds == pytest.approx(spoken, rel=0.02, abs=5)
