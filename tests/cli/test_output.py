"""Standard output has its transcripts in order."""

from __future__ import annotations

import io
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from asr_core.cli.output import StdoutSink
from asr_core.cli.plan import BatchItem
from asr_core.text.formats import RenderOptions
from asr_core.types import Segment, Transcript


def transcript(text: str) -> Transcript:
    return Transcript((Segment(0, 0.0, 1.0, text, (), (), -0.1, 0.0),), 1.0)


def test_standard_output_is_in_the_order_of_the_tasks_without_those_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written := io.BytesIO(), encoding="utf-8"))
    sink = StdoutSink("text", RenderOptions(), nullcontext)
    task = BatchItem(Path("a"), "a", {})
    sink.take(2, task, transcript("три"))
    assert written.getvalue() == b""
    sink.take(0, task, transcript("один"))
    assert written.getvalue().decode() == "один\n"
    sink.take(1, task, None)
    assert written.getvalue().decode() == "один\nтри\n"
