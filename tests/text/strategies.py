"""What the tests of this room draw: chunks, and hypotheses from plausible to absurd."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from hypothesis import strategies as st

from asr_core.text import words
from asr_core.text.cues import CueLayout
from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Chunk, Hypothesis, Segment, Span, Token, Transcript

HOURS = 3600 * SAMPLE_RATE

surfaces = st.one_of(
    st.sampled_from(
        [" ", "  ", "", "\n", "\u00a0", " При", "вет", "м", " т.", "е.", "3.5", "?!", "…»", "-->", "\r\n\r\n"]
    ),
    st.sampled_from("абя .!?&<>\t\x1c"),
    st.text(max_size=6),
    st.sampled_from(["а" * 50, " " + "ж" * 90]),
)
log_probs = st.one_of(st.floats(-20, 0), st.floats())


def chunk_at(start: int, length: int, speech: float | list[float] = 1.0) -> Chunk:
    """A silent chunk of `length` samples at `start`, its windows' speech probabilities as given."""
    windows = -(-length // VAD_WINDOW)
    probabilities = np.broadcast_to(np.asarray(speech, np.float32), (windows,))
    return Chunk(0, Span(start, start + length), np.zeros(length, np.int16), probabilities)


def segments(chunk: Chunk, hypothesis: Hypothesis, first_index: int) -> list[Segment]:
    """All that was heard in a chunk, as if it were alone."""
    return words.segments(chunk, words.spoken_words(hypothesis, chunk.heard), first_index)


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    speech = draw(st.floats(0, 1, width=32))
    return chunk_at(draw(st.integers(0, 10 * HOURS)), draw(st.integers(0, 30 * SAMPLE_RATE)), speech)


@st.composite
def absurd_hypotheses(draw: st.DrawFn) -> Hypothesis:
    """Any tokens at all: frames out of order and range, infinite and undefined log-probabilities."""
    token = st.builds(Token, surfaces, st.integers(-5, 800), log_probs)
    return Hypothesis(tuple(draw(st.lists(token, max_size=60))), draw(st.integers(0, 750)))


pieces = st.sampled_from(
    [" При", "вет", " и", " мир", "у", ",", ".", " ", " в", " 3.5", " Да", "?»", " непротивозаконный"]
)
steps = st.sampled_from([1, 1, 1, 2, 2, 3, 5, 14, 15, 16])


@st.composite
def plausible_hypotheses(draw: st.DrawFn) -> Hypothesis:
    """What a CTC model can emit: words in phrases, frames strictly increasing, log-probabilities finite."""
    size = draw(st.integers(0, 100))
    token = st.tuples(pieces, steps, st.floats(-20, 0))
    drawn = draw(st.lists(token, min_size=size, max_size=size))
    frames = list(accumulate((step for _, step, _ in drawn), initial=draw(st.integers(0, 20))))
    tokens = (Token(text, frame, log_prob) for frame, (text, _, log_prob) in zip(frames, drawn, strict=False))
    return Hypothesis(tuple(tokens), frames[-1] + draw(st.integers(1, 50)))


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Some chunks' segments, one chunk after the other."""
    found: list[Segment] = []
    start = 0
    for _ in range(draw(st.integers(0, 3))):
        start += draw(st.integers(0, HOURS))
        chunk = chunk_at(start, draw(st.integers(0, 30 * SAMPLE_RATE)), draw(st.floats(0, 1, width=32)))
        found += segments(chunk, draw(plausible_hypotheses() | absurd_hypotheses()), len(found))
        start = chunk.span.end
    return Transcript(tuple(found), start / SAMPLE_RATE)


layouts = st.builds(CueLayout, st.integers(10, 90), st.integers(1, 4))
