"""What the sides of a call say, in order of time."""

from __future__ import annotations

from itertools import islice

import numpy as np

from asr_core.speakers.labels import labels
from asr_core.speakers.sides import SidesWriter
from asr_core.types import SAMPLE_RATE, Chunk, Hypothesis, Segment, Span, Token

FRAME_S = 0.04


def chunk(index: int, channel: int | None, start_s: float, end_s: float, settled_s: float) -> Chunk:
    span = Span(round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE))
    settled = round(settled_s * SAMPLE_RATE)
    return Chunk(index, span, np.zeros(0, np.int16), np.ones(0, np.float32), channel=channel, settled=settled)


def saying(of: Chunk, *words: tuple[str, float]) -> Hypothesis:
    """Words and when they begin, s."""
    tokens = tuple(Token(" " + text, round((at - of.heard.start_s) / FRAME_S), -0.1) for text, at in words)
    return Hypothesis(tokens, round(len(of.heard) / SAMPLE_RATE / FRAME_S))


def told(segments: list[Segment]) -> list[tuple[int, str | None, str]]:
    return [(segment.index, segment.speaker, segment.text) for segment in segments]


def test_segments_of_both_sides_come_in_order_of_time_as_soon_as_that_is_certain() -> None:
    writer = SidesWriter()
    first, second = chunk(0, 0, 0, 20, settled_s=9.8), chunk(1, 1, 10, 12, settled_s=25)
    assert told(writer.write(first, saying(first, ("алло", 1), ("да", 15)))) == [(0, "A", "алло")]
    assert told(writer.write(second, saying(second, ("слушаю", 11)))) == [(1, "B", "слушаю"), (2, "A", "да")]
    last = chunk(2, 1, 26, 27, settled_s=26)
    assert writer.write(last, saying(last, ("пока", 26.2))) == []
    assert told(writer.flush()) == [(3, "B", "пока")]


def test_a_mixture_has_no_sides() -> None:
    writer, mixed = SidesWriter(), chunk(0, None, 0, 20, settled_s=0)
    assert told(writer.write(mixed, saying(mixed, ("алло", 1)))) == [(0, None, "алло")]
    assert writer.flush() == []


def test_speakers_without_a_name_are_letters() -> None:
    assert list(islice(labels({"B"}), 3)) == ["A", "C", "D"]
    assert list(islice(labels(), 25, 29)) == ["Z", "AA", "AB", "AC"]
