"""What is said while a batch runs."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from pathlib import Path

import pytest

from asr_core.cli.batch import Heard, run_batch
from asr_core.cli.output import StdoutSink
from asr_core.cli.plan import BatchItem
from asr_core.cli.progress import Report
from asr_core.text.formats import RenderOptions
from asr_core.types import Transcript


class WarningTranscriber:
    """Has something to say about every recording but the first."""

    parallel = 1

    def __init__(self) -> None:
        self._n_done = 0

    async def transcribe(self, path: Path, heard: Heard) -> Transcript:
        self._n_done += 1
        return Transcript((), 1.0, ("Its end is missing.", "So is its middle.") if self._n_done > 1 else ())


def test_what_a_recording_lacks_is_told_beside_its_name_in_one_line(
    speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [BatchItem(speech, label, {}) for label in ("whole.mp3", "cut.mp3")]
    report = Report(len(items))
    with report:
        sink = StdoutSink("text", RenderOptions(), nullcontext)
        asyncio.run(run_batch(list(enumerate(items)), WarningTranscriber(), sink, report))
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert warnings == ["warning: cut.mp3: Its end is missing. So is its middle."]
