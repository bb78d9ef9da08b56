"""Several Matroska or WebM files joined end to end, of which ffmpeg reads no more than two.

It reads on where a file does not tell its own length, as live ones do not. So what tells it is read from a copy that
does not.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO

from asr_core.audio.matroska import SEGMENT, element
from asr_core.storage import room_for

EBML = 0x1A45DFA3
"""What each file begins with."""

READ = 2
"""So many files ffmpeg hears by itself."""

NAME_BYTES, HEADER_BYTES = 4, 12
"""Of these elements' names; of name and size, at most."""

MOST = 10_000
"""So many joined files are looked for: it takes a hundredth of a second."""


@contextmanager
def heard_whole(path: Path) -> Iterator[Path]:
    """`path`, or a copy of it that can be heard to its end, for as long as the scope lasts. Raises StorageFull."""
    with path.open("rb") as file:
        sizes = list(_sizes_of_segments(file, path.stat().st_size))
        if len(sizes) <= READ:
            yield path
            return
        with NamedTemporaryFile(suffix=path.suffix) as copy:
            file.seek(0)
            with room_for("uploads"):
                shutil.copyfileobj(file, copy)
                for at, n_bytes in sizes:
                    copy.seek(at)
                    copy.write(_unknown(n_bytes))
                copy.flush()
            yield Path(copy.name)


def _sizes_of_segments(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Where it is said how long each joined file is, and in how many bytes; as far as it is said."""
    at = 0
    for _ in range(2 * MOST):
        file.seek(at)
        header = element(bytearray(file.read(HEADER_BYTES)), 0) if at < end else None
        if header is None or header[0] not in (EBML, SEGMENT):
            return
        name, size, begin = header
        n_bytes = begin - NAME_BYTES
        if name == SEGMENT:
            if size == (1 << 7 * n_bytes) - 1:
                return  # it is not said
            yield at + NAME_BYTES, n_bytes
        at += begin + size


def _unknown(n_bytes: int) -> bytes:
    """The size that stands for none, in so many bytes."""
    return ((1 << 7 * n_bytes + 1) - 1).to_bytes(n_bytes, "big")
