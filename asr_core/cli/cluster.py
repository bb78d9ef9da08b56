"""Transcribing on a Ray cluster: a worker with a recogniser on every machine."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray  # type: ignore[import-not-found, unused-ignore]  # an extra: not installed everywhere
from ray.exceptions import (  # type: ignore[import-not-found, unused-ignore]
    RayActorError,
    RayTaskError,
)
from ray.util.scheduling_strategies import (  # type: ignore[import-not-found, unused-ignore]
    NodeAffinitySchedulingStrategy,
)

from asr_core.cli.batch import Heard
from asr_core.errors import AsrError
from asr_core.runtime import prepare
from asr_core.settings import Settings
from asr_core.types import JobOptions, Transcript

if TYPE_CHECKING:
    from asr_core.cli.local import LocalTranscriber

DEATHS = 3
"""Workers that a recording may lose before it is taken for the cause."""


CONNECT_S = 10.0


class Worker:
    """A Ray actor: one recogniser. Ray starts it again when its process or its machine dies, without the model."""

    def __init__(self, settings: Settings, options: JobOptions) -> None:
        self._settings = settings
        self._options = options
        self._loading = asyncio.Lock()
        self._scope: AbstractAsyncContextManager[LocalTranscriber] | None = None
        self._transcriber: LocalTranscriber | None = None

    async def load(self) -> LocalTranscriber:
        """The transcriber, its model loaded. Raises ModelError."""
        async with self._loading:
            if self._transcriber is None:
                prepare(os.environ)
                from asr_core.cli.local import local_transcriber  # noqa: PLC0415 - torch, which reads the environment

                # Never left: the actor ends by being killed.
                self._scope = local_transcriber(self._settings, self._options, say=lambda _: None)
                self._transcriber = await self._scope.__aenter__()
            return self._transcriber

    async def check(self) -> None:
        """Raise ModelError if this worker cannot have the model."""
        await self.load()

    async def transcribe(self, path: Path) -> Transcript:
        transcriber = await self.load()
        return await transcriber.transcribe(path, heard=lambda _: None)


class ClusterTranscriber:
    """Gives each recording to the worker that has the fewest."""

    def __init__(self, workers: Sequence[Any], per_worker: int) -> None:
        self.parallel = len(workers) * per_worker
        self._workers = workers
        self._in_hand: Counter[int] = Counter()
        self._here = Path.cwd()

    async def transcribe(self, path: Path, heard: Heard) -> Transcript:
        chosen = min(range(len(self._workers)), key=self._in_hand.__getitem__)
        self._in_hand[chosen] += 1
        try:
            transcript: Transcript = await _result(self._workers[chosen].transcribe.remote(self._here / path))
            return transcript
        finally:
            self._in_hand[chosen] -= 1


@asynccontextmanager
async def cluster_transcriber(
    address: str, settings: Settings, options: JobOptions, say: Callable[[str], None]
) -> AsyncIterator[ClusterTranscriber]:
    """A worker on every machine of the cluster at `address` that has cores to offer.

    This package and the recordings must be there under the same names. Raises AsrError if there is no such cluster,
    ModelError if a worker cannot have the model.
    """
    await _connect(address)
    try:
        machines = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        everywhere = settings.model_copy(update={"models_dir": settings.models_dir.absolute()})
        workers = [_worker_on(machine, everywhere, options) for machine in machines]
        await asyncio.gather(*(_result(worker.check.remote()) for worker in workers))
        say(f"{settings.model_name} on {len(workers)} machines")
        yield ClusterTranscriber(workers, settings.max_queue)
    finally:
        ray.shutdown()


async def _connect(address: str) -> None:
    """Raises AsrError if there is no cluster at `address`."""
    await _check_answers(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

    def connect() -> None:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")

    # Not on the main thread: it may take long, and Ray would take SIGTERM over.
    thread = ThreadPoolExecutor(1, thread_name_prefix="ray")
    try:
        await asyncio.get_running_loop().run_in_executor(thread, connect)
    except (OSError, RuntimeError, ValueError) as error:
        raise _no_cluster(address, error) from error
    finally:
        thread.shutdown(wait=False)


async def _check_answers(address: str) -> None:
    """Somebody listens there: Ray itself would go on trying for many minutes."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, ValueError, TimeoutError) as error:
        raise _no_cluster(address, error) from error
    writer.close()


def _no_cluster(address: str, error: Exception) -> AsrError:
    reason = str(error) or type(error).__name__
    return AsrError(f"There is no Ray cluster at {address}, which should be HOST:PORT: {reason}")


def _worker_on(machine: str, settings: Settings, options: JobOptions) -> Any:
    """A worker on `machine`, or on another once that is gone; it asks for no cores, so there is always room for it."""
    actor = ray.remote(
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=DEATHS,
        max_concurrency=settings.max_queue,
        scheduling_strategy=NodeAffinitySchedulingStrategy(machine, soft=True),
    )(Worker)
    return actor.remote(settings, options)


async def _result(reference: Any) -> Any:
    """What an actor's method returned; what it raised is raised as it was there."""
    try:
        return await reference
    except RayTaskError as error:
        raise error.cause from None
    except RayActorError as error:
        raise AsrError(f"The worker that had it died {DEATHS + 1} times.") from error
