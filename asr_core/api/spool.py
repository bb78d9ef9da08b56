"""Where uploads wait: files in a folder of this process's own, no more of them and no larger ones than may be."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import BinaryIO, cast

from starlette.concurrency import run_in_threadpool

from asr_core.errors import QueueFull

_PREFIX = "asr-uploads-"


class Spool:
    """Makes its folder in `parent`, and removes there what processes have left that could not clean up any more."""

    def __init__(self, parent: Path, *, max_files: int, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        """Of a request's body."""
        self._max_files = max_files
        self._n_files = 0
        with _locked(parent):  # or a folder could be taken for a dead process's before its own process has locked it
            for folder in parent.glob(f"{_PREFIX}*"):
                _remove_if_nobody_s(folder)
            self._folder = TemporaryDirectory(prefix=_PREFIX, dir=parent)
            self._lock = os.open(self._folder.name, os.O_RDONLY)  # held for as long as the process lives
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove the folder with whatever is in it."""
        self._folder.cleanup()
        os.close(self._lock)

    @asynccontextmanager
    async def file(self) -> AsyncIterator[BinaryIO]:
        """A file that is gone when the block is left, also if its name was made longer meanwhile.

        Raises QueueFull where one more would be too many.
        """
        if self._n_files >= self._max_files:
            raise QueueFull(self._max_files)
        self._n_files += 1
        try:
            file = NamedTemporaryFile(dir=self._folder.name, delete=False)  # noqa: SIM115 - removed below, in a thread
            try:
                yield cast("BinaryIO", file)
            finally:
                # Freeing the blocks of a large file takes a file system a while.
                await run_in_threadpool(_remove, cast("BinaryIO", file))
        finally:
            self._n_files -= 1


def _remove(file: BinaryIO) -> None:
    file.close()
    named = Path(file.name)
    for path in named.parent.glob(f"{named.name}*"):
        path.unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_if_nobody_s(folder: Path) -> None:
    with suppress(OSError):  # somebody works there, or it is not ours
        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(descriptor)
