"""Where transcripts go: files that are there whole or not at all, or standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from asr_core.cli.plan import BatchItem
from asr_core.errors import AsrError
from asr_core.storage import write_whole
from asr_core.text.formats import RenderOptions, render
from asr_core.types import Transcript


class OutputLost(AsrError):
    """Standard output takes nothing any more."""


class Sink(Protocol):
    """Takes each item's transcript as it is done, and None for one that failed."""

    def take(self, index: int, item: BatchItem, transcript: Transcript | None) -> None: ...


class FileSink:
    """Writes an item's outputs to their files."""

    def __init__(self, options: RenderOptions) -> None:
        self._options = options

    def take(self, index: int, item: BatchItem, transcript: Transcript | None) -> None:
        """Raises OSError when a file cannot be written."""
        if transcript is not None:
            for format_name, path in item.outputs.items():
                write_whole(path, body(transcript, format_name, self._options))


class StdoutSink:
    """Writes transcripts to standard output, in the order of the items; `display` makes room on a shared terminal."""

    def __init__(
        self, format_name: str, options: RenderOptions, display: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._format_name = format_name
        self._options = options
        self._display = display
        self._waiting: dict[int, bytes] = {}
        self._next = 0

    def take(self, index: int, item: BatchItem, transcript: Transcript | None) -> None:
        """Raises OutputLost."""
        self._waiting[index] = body(transcript, self._format_name, self._options) if transcript else b""
        with self._display():
            try:
                while self._next in self._waiting:
                    sys.stdout.buffer.write(self._waiting.pop(self._next))
                    self._next += 1
                sys.stdout.buffer.flush()
            except OSError as error:
                raise OutputLost(f"Standard output cannot be written to: {error.strerror}.") from error


def body(transcript: Transcript, format_name: str, options: RenderOptions) -> bytes:
    """`transcript` as a text file: its last line is ended."""
    rendered = render(transcript, format_name, options).body
    return rendered if rendered.endswith(b"\n") else rendered + b"\n"
