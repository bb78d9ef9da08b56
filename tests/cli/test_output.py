"""Standard output has its transcripts in order."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from asr_core.cli.batch import Heard, run_batch
from asr_core.cli.output import FileSink, OutputLost, StdoutSink, check_writable
from asr_core.cli.plan import BatchItem
from asr_core.cli.progress import Report
from asr_core.storage import write_whole
from asr_core.text.formats import RenderOptions
from asr_core.types import Segment, Transcript


def transcript(text: str) -> Transcript:
    return Transcript((Segment(0, 0.0, 1.0, text, (), (), -0.1, 0.0),), 1.0)


@pytest.mark.parametrize("name", ["file/a.txt", "folder", "/proc/a.txt", "я" * 200])
def test_what_cannot_be_written_is_known_without_trying(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for attempt in (check_writable, partial(write_whole, content=b"text")):
        with pytest.raises(OSError, match=r"\[Errno \d+\]"):
            attempt(tmp_path / name)


def test_what_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    check_writable(tmp_path / "old")
    check_writable(tmp_path / "new" / "deeper" / "a.txt")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


class Dictation:
    """Hears the same in every recording, and remembers which it was given."""

    parallel = 1

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def transcribe(self, path: Path, heard: Heard) -> Transcript:
        self.heard.append(path.name)
        return transcript("раз")


def test_a_disk_that_fills_ends_the_batch_with_the_first_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    items = []
    for name in ("a", "b"):
        (tmp_path / name).touch()
        items.append(BatchItem(tmp_path / name, name, {"text": tmp_path / f"{name}.txt"}))
    monkeypatch.setattr(os, "fsync", fill)
    dictation = Dictation()
    with pytest.raises(OutputLost, match=r"a\.txt cannot be written: No space left on device"):
        asyncio.run(run_batch(list(enumerate(items)), dictation, FileSink(RenderOptions()), Report(2)))
    assert dictation.heard == ["a"]
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


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
