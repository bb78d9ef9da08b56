"""Where uploads wait: files in a folder of this process's own, no more of them and no larger ones than may be."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import BinaryIO, cast

from starlette.concurrency import run_in_threadpool

from asr_core.errors import QueueFull, StorageGone
from asr_core.storage import room_for

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """The slowest that a body may arrive: the next `step_bytes` of it take less than `step_s` seconds of waiting.

    A silence is as good as a trickle: either keeps a place from others. Telephones do better in the poorest of nets.
    """

    step_bytes: int = 64 * 1024
    step_s: float = 60.0


SLOWEST = Pace()


class OwnFolder:
    """A new folder in `parent`, this process's for as long as it lives; what dead processes left there goes."""

    def __init__(self, parent: Path, prefix: str) -> None:
        with _locked(parent):  # or a folder could be taken for a dead process's before its own process has locked it
            for folder in parent.glob(f"{prefix}*"):
                _remove_if_nobody_s(folder)
            self._folder = TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
            self.path = Path(self._folder.name)
            self._lock = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove the folder with whatever is in it."""
        self._folder.cleanup()
        os.close(self._lock)


class Spool:
    """Files for uploads, in an own folder in `parent`."""

    def __init__(self, parent: Path, *, max_files: int, max_bytes: int, pace: Pace = SLOWEST) -> None:
        self.max_bytes = max_bytes
        """Of a request's body."""
        self.pace = pace
        """Of its arrival."""
        self._parent = parent
        self._max_files = max_files
        self._n_files = 0
        self._folder = self._make_folder()

    def close(self) -> None:
        """Remove the folder with whatever is in it."""
        self._folder.close()

    def check(self) -> None:
        """Make the folder anew if somebody has removed it. Raises StorageGone or StorageFull where that cannot be
        done."""
        if self._folder.path.is_dir():
            return
        try:
            with room_for("uploads"):
                folder = self._make_folder()
        except OSError as error:
            raise StorageGone() from error
        log.warning("Somebody has removed the folder for uploads; there is a new one")
        self._folder.close()
        self._folder = folder

    @asynccontextmanager
    async def file(self) -> AsyncIterator[BinaryIO]:
        """An unbuffered file that is gone when the block is left, also if its name was made longer meanwhile.

        Raises QueueFull where one more would be too many, StorageGone, or StorageFull.
        """
        if self._n_files >= self._max_files:
            raise QueueFull(self._max_files)
        self._n_files += 1
        try:
            self.check()
            with room_for("uploads"):
                made = NamedTemporaryFile(  # noqa: SIM115 - removed below, in a thread
                    dir=self._folder.path, buffering=0, delete=False
                )
            file = cast("BinaryIO", made)
            try:
                yield file
            finally:
                # Freeing the blocks of a large file takes a file system a while.
                await run_in_threadpool(_remove, file)
        finally:
            self._n_files -= 1

    def _make_folder(self) -> OwnFolder:
        return OwnFolder(self._parent, "asr-uploads-")


def _remove(file: BinaryIO) -> None:
    file.close()
    named = Path(file.name)
    for path in named.parent.glob(f"{named.name}*"):
        path.unlink(missing_ok=True)


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
