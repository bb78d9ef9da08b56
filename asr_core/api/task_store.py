"""Tasks on disk: who works on which, and what came of it.

`<id>.running` is locked by the process that works on the task, so one that nobody has locked was lost, whatever ended
its process. `<id>.done` is a line of JSON (the task's `TaskRecord`), then the answer's body. `<id>.cancel` asks the
process that works on the task to end it. Everything here blocks.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self
from uuid import uuid4

from asr_core.errors import AsrError, NotFound
from asr_core.storage import DRAFT_SUFFIX, room_for, write_whole

Status = Literal["in_progress", "completed", "failed", "canceled"]
"""As BentoML's client knows them."""

MOST_RESULTS = 10_000
MOST_BYTES = 1 << 30
"""Of all results together."""

_ID = re.compile(r"[0-9a-f]{32}")
_RESERVED = 4096
"""Bytes that a task takes at its start, for the news that there was no room for its result."""
_DRAFT_S = 3600.0
"""Age of a draft that nobody can still be writing, seconds."""


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What is known of a task; times are Unix times, s."""

    task_id: str
    status: Status
    created_at: float
    http_status: int | None = None
    """Of its answer. A task that failed without one was lost: its process ended before it did."""


class TaskStore:
    """The tasks in `directory`, where they are kept for `keep_s` seconds after their end, the newest of them if there
    are more than `most_results` or they have more than `most_bytes`.
    """

    def __init__(
        self, directory: Path, keep_s: float, *, most_results: int = MOST_RESULTS, most_bytes: int = MOST_BYTES
    ) -> None:
        self._directory = directory
        self._keep_s = keep_s
        self._most_results = most_results
        self._most_bytes = most_bytes

    def begin(self) -> RunningTask:
        """A task of this process's. Raises StorageFull."""
        with room_for("tasks"):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._directory.lstat().st_uid != os.getuid():
                raise AsrError("The folder for tasks in TMPDIR is somebody else's: the server's owner must remove it.")
            return RunningTask(self._directory)

    def find(self, task_id: str) -> TaskRecord:
        """Raise NotFound if there is no such task, or none any more."""
        return self.answer(task_id, with_body=False)[0]

    def answer(self, task_id: str, *, with_body: bool = True) -> tuple[TaskRecord, bytes]:
        """The task, and the body of its answer if it has one. NotFound as `find`."""
        if not _ID.fullmatch(task_id):
            raise NotFound("There is no such task.")
        # Looked at in this order, because the second file appears before the first one goes.
        state = _state(self._directory / f"{task_id}.running")
        with suppress(FileNotFoundError), (self._directory / f"{task_id}.done").open("rb") as file:
            if not self._is_over(os.fstat(file.fileno()).st_mtime):
                return TaskRecord(**json.loads(file.readline())), file.read() if with_body else b""
        if state is None or (not state[1] and self._is_over(state[0])):
            raise NotFound("There is no such task: its id is wrong, or its result is no longer kept.")
        written_at, held = state
        return TaskRecord(task_id, "in_progress" if held else "failed", written_at), b""

    def ask_to_end(self, task_id: str) -> None:
        """Leave word for whoever works on the task. Raises StorageFull."""
        with room_for("tasks"):
            (self._directory / f"{task_id}.cancel").touch()

    def asked_to_end(self, task_ids: Iterable[str]) -> list[str]:
        """Those of the tasks for which word was left; each is told once."""
        flags = {task_id: self._directory / f"{task_id}.cancel" for task_id in task_ids}
        asked = [task_id for task_id, flag in flags.items() if flag.exists()]
        for task_id in asked:
            flags[task_id].unlink(missing_ok=True)
        return asked

    def sweep(self) -> None:
        """Remove what has been kept for long enough, and the oldest of what is too much."""
        n_results, n_bytes = 0, 0
        for path, written_at, size in sorted(_files(self._directory), key=lambda file: file[1], reverse=True):
            if path.suffix == ".done":
                n_results, n_bytes = n_results + 1, n_bytes + size
                too_much = n_results > self._most_results or n_bytes > self._most_bytes
                goes = too_much or self._is_over(written_at)
            elif path.suffix == DRAFT_SUFFIX:
                goes = written_at < time.time() - _DRAFT_S
            else:
                goes = self._is_over(written_at) and (state := _state(path)) is not None and not state[1]
            if goes:
                path.unlink(missing_ok=True)

    def _is_over(self, written_at: float) -> bool:
        """Whether what was written at that time, and is not worked on, has been kept for long enough."""
        return written_at < time.time() - self._keep_s


class RunningTask:
    """A task that this process works on within the block; one that is neither finished nor discarded in it is lost."""

    def __init__(self, directory: Path) -> None:
        self.id = uuid4().hex
        self._created_at = time.time()
        self._running, self._done = (directory / f"{self.id}.{kind}" for kind in ("running", "done"))
        self._lock = self._running.open("xb", buffering=0)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self._write_here(b" " * _RESERVED)
        except BaseException:
            self._lock.close()
            self._running.unlink()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._lock.close()

    def finish(self, status: Status, http_status: int, body: bytes) -> None:
        """Keep what came of it. Raises StorageFull, but not for a body of a few hundred bytes."""
        head = json.dumps(asdict(TaskRecord(self.id, status, self._created_at, http_status)))
        content = head.encode() + b"\n" + body
        if len(content) <= _RESERVED:
            self._write_here(content)
            with suppress(FileNotFoundError):  # somebody has removed it
                self._running.replace(self._done)
                return
        with room_for("what came of a task"):
            write_whole(self._done, content)
        self._running.unlink(missing_ok=True)

    def discard(self) -> None:
        """Forget it."""
        self._running.unlink(missing_ok=True)

    def _write_here(self, content: bytes) -> None:
        """Make `content` what is in its own file, where there is room for it already."""
        descriptor, written = self._lock.fileno(), 0
        while written < len(content):
            written += os.pwrite(descriptor, content[written:], written)
        os.ftruncate(descriptor, len(content))
        os.fsync(descriptor)


def _files(directory: Path) -> Iterator[tuple[Path, float, int]]:
    """Path, time of the last change and size of each file in `directory`, if that is there."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                yield Path(entry.path), status.st_mtime, status.st_size


def _state(path: Path) -> tuple[float, bool] | None:
    """When the file was last written, and whether somebody holds it; None if there is none."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                held = False
            except BlockingIOError:
                held = True
            return os.fstat(file.fileno()).st_mtime, held
    except FileNotFoundError:
        return None
