"""A network to know the answers of, sound for it, and who speaks in that, found with all of it in hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from torch import Tensor

from asr_core.audio.hysteresis import SpeechSpans
from asr_core.audio.levels import LEVELLED_GAIN, LEVELLED_RMS, REACH
from asr_core.audio.listener import AUDIBLE, GAP_BATCH_WINDOWS, LEAD, LONG_GAP, MARGIN, SHORTEST_MS, Voice
from asr_core.audio.vad import BATCH_WINDOWS, CONTEXT, LstmState, SileroNetwork, SpeechProbabilities
from asr_core.types import INT16_SCALE, SAMPLE_RATE, VAD_WINDOW, Pcm, Probabilities, Span, VadOptions
from tests.audio.signals import silence

LEVELS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.004, 0.03, 0.05, 0.12, 0.2, 0.5, 1.0, 1.0]), st.floats(0.01, 4)), max_size=12
)
"""Sound as (mean level, seconds)."""

QUIET_COUNTS = VadOptions(threshold=0.07)
"""With it `LoudIsSpeech` finds speech in a levelled copy: all has level 0.08 there but silence and the faintest."""


class LoudIsSpeech(SileroNetwork):
    """A window's mean level is its probability of speech."""

    def forward(self, windows: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
        return windows[:, CONTEXT:].mean(1), state


def sound(levels: list[tuple[float, float]]) -> Pcm:
    pieces = [np.full(round(seconds * SAMPLE_RATE), 32767 * level, np.int16) for level, seconds in levels]
    return np.concatenate([silence(0), *pieces])


def levelled(signal: Pcm) -> Probabilities:
    """The levelled copy, as it is defined."""
    energy = np.concatenate(([0], np.cumsum(signal.astype(np.int64) ** 2)))
    here = np.arange(len(signal))
    first, last = np.maximum(here - REACH, 0), np.minimum(here + REACH, len(signal))
    rms = np.sqrt((energy[last] - energy[first]) / (last - first)) / INT16_SCALE
    gain = np.minimum(LEVELLED_RMS / np.maximum(rms, 1e-9), LEVELLED_GAIN)
    copy: Probabilities = np.clip(signal / INT16_SCALE * gain, -1, 1).astype(np.float32)
    return copy


def voices_and_probabilities(network: SileroNetwork, signal: Pcm, vad: VadOptions) -> tuple[list[Voice], Probabilities]:
    """The voices of a recording, and its windows' probabilities, in gaps those of the copy where they are higher."""
    spans, probabilities = _detected(network, signal, vad, BATCH_WINDOWS)
    voices = [Voice(span, certain=True) for span in spans]
    bounds = [Span(-MARGIN, -MARGIN), *spans, Span(len(signal) + MARGIN, len(signal) + MARGIN)]
    for before, after in pairwise(bounds):
        begins, ends = max(before.end, 0), after.start
        if spans and ends - begins <= LONG_GAP:
            continue
        start = -(-(before.end + MARGIN) // VAD_WINDOW) * VAD_WINDOW
        audible = np.flatnonzero(np.abs(signal[start : after.start - MARGIN].astype(int)) > AUDIBLE)
        if not len(audible):
            continue
        start += max(audible[0] - LEAD, 0) // VAD_WINDOW * VAD_WINDOW
        brief = VadOptions(vad.threshold, SHORTEST_MS, vad.min_silence_ms, vad.speech_pad_ms)
        added, louder = _detected(network, levelled(signal[start : after.start - MARGIN]), brief, GAP_BATCH_WINDOWS)
        voices += [Voice(Span(start + span.start, start + span.end), certain=False) for span in added]
        windows = slice(start // VAD_WINDOW, start // VAD_WINDOW + len(louder))
        probabilities[windows] = np.maximum(probabilities[windows], louder)
    return sorted(voices, key=lambda voice: voice.span.start), probabilities


def _detected(
    network: SileroNetwork, signal: Pcm | Probabilities, vad: VadOptions, batch_windows: int
) -> tuple[list[Span], Probabilities]:
    stream, spans = SpeechProbabilities(network, batch_windows), SpeechSpans(vad)
    probabilities = np.concatenate((stream.push(signal), stream.flush()))
    return spans.push(probabilities) + spans.flush(len(signal)), probabilities
