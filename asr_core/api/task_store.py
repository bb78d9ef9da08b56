"""Tasks on disk: who works on which, and what came of it.

`<id>.running` is locked by the process that works on the task, so one that nobody has locked was lost, whatever ended
its process. `<id>.done` is a line of JSON (the task's `TaskRecord`), then the answer's body. Everything here blocks.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self
from uuid import uuid4

from asr_core.errors import AsrError, NotFound

Status = Literal["in_progress", "completed", "failed", "canceled"]
"""As BentoML's client knows them."""

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What is known of a task; times are Unix times, s."""

    task_id: str
    status: Status
    created_at: float
    http_status: int | None = None
    """Of its answer. A task that failed without one was lost: its process ended before it did."""


class TaskStore:
    """The tasks in `directory`, where they are kept for `keep_s` seconds after their end."""

    def __init__(self, directory: Path, keep_s: float) -> None:
        self._directory = directory
        self._keep_s = keep_s

    def begin(self) -> RunningTask:
        """A task of this process's."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._directory.lstat().st_uid != os.getuid():
            raise AsrError("The folder for tasks in TMPDIR is somebody else's: the server's owner must remove it.")
        self._sweep()
        return RunningTask(self._directory)

    def find(self, task_id: str) -> TaskRecord:
        """Raise NotFound if there is no such task, or none any more."""
        return self.answer(task_id, with_body=False)[0]

    def answer(self, task_id: str, *, with_body: bool = True) -> tuple[TaskRecord, bytes]:
        """The task, and the body of its answer if it has one. NotFound as `find`."""
        if not _ID.fullmatch(task_id):
            raise NotFound("There is no such task.")
        self._sweep()
        # Looked at in this order, because the second file appears before the first one goes.
        state = _state(self._directory / f"{task_id}.running")
        with suppress(FileNotFoundError), (self._directory / f"{task_id}.done").open("rb") as file:
            return TaskRecord(**json.loads(file.readline())), file.read() if with_body else b""
        if state is None:
            raise NotFound("There is no such task: its id is wrong, or its result is no longer kept.")
        written_at, held = state
        return TaskRecord(task_id, "in_progress" if held else "failed", written_at), b""

    def _sweep(self) -> None:
        """Remove what has been kept for long enough."""
        for path in self._directory.glob("*"):
            if (state := _state(path)) and not state[1] and state[0] < time.time() - self._keep_s:
                path.unlink(missing_ok=True)


class RunningTask:
    """A task that this process works on within the block; one that is neither finished nor discarded in it is lost."""

    def __init__(self, directory: Path) -> None:
        self.id = uuid4().hex
        self._created_at = time.time()
        self._running, self._done = (directory / f"{self.id}.{kind}" for kind in ("running", "done"))
        self._lock = self._running.open("xb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._lock.close()

    def finish(self, status: Status, http_status: int, body: bytes) -> None:
        """Keep what came of it."""
        head = json.dumps(asdict(TaskRecord(self.id, status, self._created_at, http_status)))
        partial = self._done.with_suffix(".partial")
        partial.write_bytes(head.encode() + b"\n" + body)
        partial.replace(self._done)
        self._running.unlink()

    def discard(self) -> None:
        """Forget it."""
        self._running.unlink()


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
