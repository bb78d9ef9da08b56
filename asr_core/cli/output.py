"""Where transcripts go: files that are there whole or not at all, or standard output."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from asr_core.cli.plan import BatchItem
from asr_core.errors import AsrError
from asr_core.storage import write_whole
from asr_core.text.formats import RenderOptions, render
from asr_core.types import Transcript

HOPELESS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""What a disk says that will take no other transcript either."""


class OutputLost(AsrError):
    """There is no place for transcripts any more."""


class Sink(Protocol):
    """Takes each item's transcript as it is done, and None for one that failed."""

    def check(self, item: BatchItem) -> None:
        """Raise OSError if the item's transcript could not be taken."""

    def take(self, index: int, item: BatchItem, transcript: Transcript | None) -> None: ...


class FileSink:
    """Writes an item's outputs to their files."""

    def __init__(self, options: RenderOptions) -> None:
        self._options = options

    def check(self, item: BatchItem) -> None:
        for path in item.outputs.values():
            check_writable(path)

    def take(self, index: int, item: BatchItem, transcript: Transcript | None) -> None:
        """Raises OSError when a file cannot be written, OutputLost when others could not be either."""
        if transcript is None:
            return
        for format_name, path in item.outputs.items():
            try:
                write_whole(path, body(transcript, format_name, self._options))
            except OSError as error:
                if error.errno in HOPELESS:
                    raise OutputLost(f"{path} cannot be written: {error.strerror}.") from error
                raise


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

    def check(self, item: BatchItem) -> None:
        """Only writing to it would tell."""

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


def check_writable(path: Path) -> None:
    """Raise the OSError that `write_whole` would, as far as that can be known without leaving anything behind."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    folder = next(parent for parent in path.parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None  # not the name of the attempt
