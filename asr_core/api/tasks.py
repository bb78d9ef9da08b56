"""POST /transcribe_task/submit and what follows it: transcriptions that nobody holds a connection for.

The paths and answers are those of BentoML's tasks, so that its client works with them; the handling is ours, as it is
in `native`, and here also because BentoML's forgets its tasks at a start and cannot cancel them.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from asr_core.api.answer import run_until_disconnect
from asr_core.api.backend import Backend
from asr_core.api.native import EVERYTHING
from asr_core.api.problems import answer_to
from asr_core.api.task_store import RunningTask, Status, TaskRecord, TaskStore
from asr_core.api.upload import no_fields, receive_upload
from asr_core.errors import BadRequest, ServerStopping, TaskLost
from asr_core.text.formats import render, to_json
from asr_core.types import JobOptions

log = logging.getLogger(__name__)


class Tasks:
    """The tasks of this process and, as far as they can be looked up, of others with the same store."""

    def __init__(self, backend: Backend, store: TaskStore) -> None:
        self._backend = backend
        self._store = store
        self._running: dict[str, asyncio.Task[None]] = {}

    async def start(self, path: Path, scope: AsyncExitStack) -> str:
        """Begin to transcribe the recording at `path`, and take over `scope`, to leave it when that is over.

        Returns the task's id once the engine has admitted the job, and raises what it refuses one with.
        """
        task = await run_in_threadpool(self._store.begin)
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        work = asyncio.create_task(self._work(task, path, scope.pop_all(), admitted))
        self._running[task.id] = work
        work.add_done_callback(lambda _: self._running.pop(task.id))
        try:
            await admitted
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait([work])
            raise
        return task.id

    async def find(self, task_id: str) -> TaskRecord:
        """Raises NotFound."""
        return await run_in_threadpool(self._store.find, task_id)

    async def answer(self, task_id: str) -> Response:
        """What the task came to, be it an error. Raises NotFound, TaskLost, or BadRequest while it is worked on."""
        task, body = await run_in_threadpool(self._store.answer, task_id)
        if task.status == "in_progress":
            raise BadRequest("The task is not completed yet.", "task_id")
        if task.http_status is None:
            raise TaskLost("The server was stopped while it worked on this task. Submit the recording again.")
        return Response(body, task.http_status, media_type="application/json")

    async def cancel(self, task_id: str) -> TaskRecord:
        """End the task, if it is still worked on, and everything that it has. Raises NotFound."""
        if work := self._running.get(task_id):
            work.cancel()
            await asyncio.wait([work])
        task = await self.find(task_id)
        if task.status == "in_progress":
            raise BadRequest("Another process of the server works on this task; only that one can end it.", "task_id")
        return task

    async def stop(self) -> None:
        """Wait until what came of all tasks is on disk; the engine has stopped before."""
        while self._running:
            await asyncio.wait(self._running.values())

    async def _work(self, task: RunningTask, path: Path, scope: AsyncExitStack, admitted: asyncio.Future[None]) -> None:
        """Raises nothing: what goes wrong is the task's answer or, where no job was admitted, `admitted`'s."""
        with task:
            try:
                async with scope, self._backend.job(path, JobOptions(self._backend.settings.vad)) as job:
                    admitted.set_result(None)
                    transcript = await job.transcript()
                answer = await self._backend.render(job, partial(render, transcript, "verbose_json", EVERYTHING))
                # Written here and not in a thread: there is no moment between having ended and being on disk.
                task.finish("completed", 200, answer.body)
            except asyncio.CancelledError:
                self._end(task, admitted, "canceled", BadRequest("The task was cancelled.", "task_id"))
            except Exception as exc:
                self._end(task, admitted, "failed", exc)

    def _end(self, task: RunningTask, admitted: asyncio.Future[None], status: Status, exc: Exception) -> None:
        if not admitted.done():
            admitted.set_exception(exc)
            task.discard()
        elif admitted.cancelled():
            task.discard()
        elif isinstance(exc, ServerStopping):
            log.warning("The server stops: task %s is lost", task.id)
        else:
            if status == "failed":
                self._backend.metrics.failed(exc)
            told = answer_to(exc)
            task.finish(status, told.status, to_json(told.body).encode())


class Submission(Response):
    """The answer to a submitted recording: takes the upload, has the task begun, tells its id."""

    def __init__(self, backend: Backend, tasks: Tasks) -> None:
        super().__init__()
        self._backend = backend
        self._tasks = tasks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._backend.metrics.request():
            self._backend.check_ready()
            async with AsyncExitStack() as stack:
                uploading = receive_upload(Request(scope, receive), self._backend.spool, wanted=no_fields)
                upload = await stack.enter_async_context(uploading)
                task_id = await run_until_disconnect(self._tasks.start(upload.path, stack), receive)
        await JSONResponse({"task_id": task_id, "status": "in_progress"})(scope, receive, send)


def description(task: TaskRecord) -> dict[str, Any]:
    """What is said of a task; work on it begins as soon as it is there."""
    created = datetime.fromtimestamp(task.created_at, UTC).isoformat(timespec="milliseconds")
    return {"task_id": task.task_id, "status": task.status, "created_at": created, "executed_at": created}
