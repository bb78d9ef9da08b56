"""POST /transcribe_task/submit and what follows it: transcriptions that nobody holds a connection for.

The paths and answers are those of BentoML's tasks, so that its client works with them; the handling is ours, as it is
in `native`, and here also because BentoML's forgets its tasks at a start and cannot cancel them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from asr_core.api.answer import run_until_disconnect
from asr_core.api.backend import Backend
from asr_core.api.native import EVERYTHING, job_options, wanted
from asr_core.api.problems import answer_to
from asr_core.api.task_store import RunningTask, Status, TaskRecord, TaskStore
from asr_core.api.upload import receive_upload
from asr_core.audio.decode import probe
from asr_core.errors import AsrError, BadRequest, ServerStopping, TaskLost
from asr_core.logs import gathered_remarks
from asr_core.text.encoding import to_json
from asr_core.text.formats import render
from asr_core.types import JobOptions

if TYPE_CHECKING:
    from asr_core.engine.jobs import Job

log = logging.getLogger(__name__)

SWEEP_S = 60.0
"""Between two looks at what need not be kept any more."""

WATCH_S = 0.5
"""Between two looks at what another process wants ended, and at whether it has been."""
PATIENCE_S = 10.0
"""How long the request to end another process's task waits for that."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is."""

    heard_s: float
    """Of the recording, from its beginning."""
    duration_s: float | None
    """Of the whole recording, as its header has it; None where that says nothing."""
    recordings_ahead: int
    """That come first when the model has time again: all take turns."""
    model_loaded: bool
    """Whether its model is in memory; if not, the task waits for that."""


class Tasks:
    """The tasks of this process and, as far as they can be looked up, of others with the same store."""

    def __init__(
        self, backend: Backend, store: TaskStore, *, sweep_s: float = SWEEP_S, watch_s: float = WATCH_S
    ) -> None:
        self._backend = backend
        self._store = store
        self._sweep_s = sweep_s
        self._watch_s = watch_s
        self._clockwork: list[asyncio.Task[None]] = []
        self._running: dict[str, _Work] = {}

    def start(self) -> None:
        """Begin to remove by the clock what has been kept for long enough, and to end what others want ended."""
        self._clockwork = [asyncio.create_task(self._sweep()), asyncio.create_task(self._watch())]

    async def submit(self, path: Path, options: JobOptions, scope: AsyncExitStack) -> str:
        """Begin to transcribe the recording at `path`, and take over `scope`, to leave it when that is over.

        Returns the task's id once the engine has admitted the job, and raises what it refuses one with.
        """
        task = await run_in_threadpool(self._store.begin)
        work = _Work(asyncio.get_running_loop().create_future())
        work.task = asyncio.create_task(self._work(task, path, options, scope.pop_all(), work))
        self._running[task.id] = work
        work.task.add_done_callback(lambda _: self._running.pop(task.id))
        try:
            await work.admitted
        except asyncio.CancelledError:
            await work.cancel()
            raise
        return task.id

    async def find(self, task_id: str) -> TaskRecord:
        """Raises NotFound."""
        return await run_in_threadpool(self._store.find, task_id)

    def progress(self, task_id: str) -> Progress | None:
        """How far the task is, if this process works on it."""
        work = self._running.get(task_id)
        if work is None or work.job is None:
            return None
        engine, job = self._backend.engine, work.job
        return Progress(round(job.heard_s, 3), work.duration_s, engine.ahead_of(job), engine.has_in_memory(job.model))

    async def answer(self, task_id: str) -> Response:
        """What the task came to, be it an error. Raises NotFound, TaskLost, or BadRequest while it is worked on."""
        task, body = await run_in_threadpool(self._store.answer, task_id)
        if task.status == "in_progress":
            raise BadRequest("The task is not completed yet.", "task_id")
        if task.http_status is None:
            raise TaskLost("The server was stopped while it worked on this task. Submit the recording again.")
        return Response(body, task.http_status, media_type="application/json")

    async def cancel(self, task_id: str) -> TaskRecord:
        """End the task, if it is still worked on, and everything that it has. Raises NotFound.

        What another process works on, that one ends; should it take its time, the task is `in_progress` still.
        """
        if work := self._running.get(task_id):
            await work.cancel()
        task = await self.find(task_id)
        if task.status == "in_progress":
            await run_in_threadpool(self._store.ask_to_end, task_id)
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    while task.status == "in_progress":
                        await asyncio.sleep(self._watch_s)
                        task = await self.find(task_id)
        return task

    async def stop(self) -> None:
        """Wait until what came of all tasks is on disk; the engine has stopped before."""
        for task in self._clockwork:
            task.cancel()
        while self._running:
            await asyncio.wait([work.task for work in self._running.values() if work.task])

    async def _sweep(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._store.sweep)
            except OSError as error:
                log.warning("Results of tasks cannot be removed: %s", error)
            await asyncio.sleep(self._sweep_s)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._watch_s)
            if not self._running:
                continue
            try:
                asked = await asyncio.to_thread(self._store.asked_to_end, [*self._running])
            except OSError as error:
                log.warning("What other processes want ended cannot be read: %s", error)
                continue
            for task_id in asked:
                if work := self._running.get(task_id):
                    await work.cancel()

    async def _work(
        self, task: RunningTask, path: Path, options: JobOptions, scope: AsyncExitStack, work: _Work
    ) -> None:
        """Raises nothing: what goes wrong is the task's answer or, where no job was admitted, `work.admitted`'s."""
        with task, gathered_remarks() as remarks:
            try:
                async with scope, self._backend.job(path, options) as job:
                    work.job = job
                    work.admitted.set_result(None)
                    work.duration_s = await _told_duration(path)
                    transcript = await job.transcript()
                answer = await self._backend.render(job, partial(render, transcript, "verbose_json", EVERYTHING))
                await _to_the_end(partial(task.finish, "completed", 200, answer.body))
                log.info("Task %s is completed: %s", task.id, "; ".join(remarks))
            except asyncio.CancelledError:
                await self._end(task, work.admitted, "canceled", BadRequest("The task was cancelled.", "task_id"))
            except Exception as exc:
                await self._end(task, work.admitted, "failed", exc)

    async def _end(self, task: RunningTask, admitted: asyncio.Future[None], status: Status, exc: Exception) -> None:
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
            log.log(
                logging.ERROR if told.status >= 500 else logging.INFO, "Task %s is %s: %s", task.id, status, told.line
            )
            await _to_the_end(partial(task.finish, status, told.status, to_json(told.body).encode()))


class _Work:
    """What this process has of a task that it works on."""

    def __init__(self, admitted: asyncio.Future[None]) -> None:
        self.admitted = admitted
        self.task: asyncio.Task[None] | None = None
        self.job: Job | None = None
        self.duration_s: float | None = None

    async def cancel(self) -> None:
        """End it, and wait for its end."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])


async def _told_duration(path: Path) -> float | None:
    """What the recording's header says; the job decodes it meanwhile, and says what is wrong with it."""
    with suppress(AsrError):
        return await probe(path)
    return None


async def _to_the_end(work: Callable[[], None]) -> None:
    """Do `work` in a thread. Cancelling comes too late for it: there is no moment between an end and a record of it."""
    thread = asyncio.ensure_future(asyncio.to_thread(work))
    while not thread.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([thread])
    thread.result()


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
                uploading = receive_upload(Request(scope, receive), self._backend.spool, wanted=wanted)
                upload = await stack.enter_async_context(uploading)
                options = job_options(upload, self._backend.settings)
                task_id = await run_until_disconnect(self._tasks.submit(upload.path, options, stack), receive)
        await JSONResponse({"task_id": task_id, "status": "in_progress"})(scope, receive, send)


def description(task: TaskRecord, progress: Progress | None) -> dict[str, Any]:
    """What is said of a task; work on it begins as soon as it is there."""
    created = datetime.fromtimestamp(task.created_at, UTC).isoformat(timespec="milliseconds")
    said = {"task_id": task.task_id, "status": task.status, "created_at": created, "executed_at": created}
    return said | {"progress": asdict(progress)} if progress and task.status == "in_progress" else said
