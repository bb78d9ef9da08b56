"""Files that are there whole or not at all, and disks that are full."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from asr_core.errors import StorageFull

DRAFT_SUFFIX = ".part"
"""How the names of files end that are being written, or were when their process was killed."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Turn a full disk within the block into StorageFull; `what` is what there was to be room for, in TMPDIR."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise StorageFull(
            f"The server has no disk space left for {what}: its owner must make room in TMPDIR."
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Make `path` a file of this content, or leave it as it was, whatever happens meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replacement(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _replacement(path: Path) -> Iterator[BinaryIO]:
    """A new file, in the same folder, that takes the place of `path` if the scope is left without an exception."""
    draft = path.with_name(f".{secrets.token_hex(8)}{DRAFT_SUFFIX}")
    try:
        with draft.open("xb") as file:
            yield file
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
