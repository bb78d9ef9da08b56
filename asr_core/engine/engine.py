"""Jobs in, segments out: one event loop that decides, workers that compute."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tenacity.wait import wait_base

from asr_core.audio.chunking import ChunkPolicy
from asr_core.audio.decode import Recording, decode
from asr_core.audio.segmenter import Segmenter
from asr_core.engine.compute import RETRY_LOADING, Load, Workers, loader
from asr_core.engine.dispatcher import Dispatcher, Tally
from asr_core.engine.feeding import feed
from asr_core.engine.jobs import BACKLOG, Job
from asr_core.engine.stages import NoStages, Stages
from asr_core.errors import AsrError, ModelNotReady, QueueFull, RecognitionFailed, ServerStopping
from asr_core.model.cpu import available_cores, has_accelerator
from asr_core.settings import Settings
from asr_core.types import JobOptions

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What the engine says about itself; `detail` explains why the model is not loaded."""

    model: str
    loaded: bool
    device: str | None = None
    precision: str | None = None
    precision_reason: str | None = None
    kernels: str | None = None
    detail: str | None = None


class Engine:
    """Transcribes recordings, several at a time. Belongs to the event loop that starts it."""

    def __init__(
        self,
        settings: Settings,
        load: Load | None = None,
        stages: Callable[[], Stages] = NoStages,
        retry: wait_base = RETRY_LOADING,
    ) -> None:
        self._settings = settings
        self._stages = stages
        self._policy = ChunkPolicy.from_seconds(
            min_duration=settings.vad_min_duration,
            max_duration=settings.vad_max_duration,
            strict_limit=settings.vad_strict_limit,
            new_chunk_threshold=settings.vad_new_chunk_threshold,
        )
        on_cpu = settings.device == "cpu" or (settings.device == "auto" and not has_accelerator())
        native = settings.engine == "native" and on_cpu
        n_threads = settings.num_threads or available_cores()
        # Elsewhere than in our network on the CPU, a batch is faster than its chunks, and one worker keeps all busy.
        self._workers = Workers(load or loader(settings), n_threads if native else 1, n_threads, retry)
        self._dispatcher = Dispatcher(self._workers, 1 if native else settings.batch_size)
        self._loaded = False
        self._runner: asyncio.Task[None] | None = None

    @property
    def status(self) -> EngineStatus:
        model = self._settings.model_name
        if not self._loaded:
            return EngineStatus(model, loaded=False, detail=self._workers.detail)
        recognizer = self._workers.recognizer
        computing = (recognizer.device, recognizer.precision, recognizer.precision_reason, recognizer.kernels)
        return EngineStatus(model, True, *computing)

    @property
    def n_jobs(self) -> int:
        """Jobs admitted at the moment."""
        return len(self._dispatcher.jobs)

    @property
    def n_waiting(self) -> int:
        """Chunks that wait for the model at the moment."""
        return self._dispatcher.n_waiting

    @property
    def tally(self) -> Tally:
        """What has been done so far."""
        return self._dispatcher.tally

    def ahead_of(self, job: Job) -> int:
        """How many other recordings come first when the model has time again; 0 where the job's turn is next."""
        return self._dispatcher.ahead_of(job)

    async def start(self) -> None:
        """Begin to load the model; jobs are admitted once it is there."""
        self._workers.attempted = asyncio.get_running_loop().create_future()
        self._runner = asyncio.create_task(self._run())

    async def ready(self) -> None:
        """Wait until the model is loaded. Raises what ended the first attempt; the engine itself goes on trying."""
        await self._workers.attempted

    async def stop(self) -> None:
        """End all jobs with ModelNotReady, and wait for what the workers are doing at the moment."""
        self._loaded, self._workers.detail = False, "the server is stopping"
        if self._runner:
            self._runner.cancel()
            await asyncio.wait([self._runner])
        self._fail_jobs(ServerStopping())
        await self._workers.stop()

    @asynccontextmanager
    async def open(self, path: Path, options: JobOptions | None = None) -> AsyncIterator[Job]:
        """Transcribe the recording at `path` while the context lasts; leaving it ends everything that the job had.

        Entering takes a place and waits for the first of the sound, so that what cannot be decoded is known at once.
        Raises QueueFull, ModelNotReady, BadAudio, AudioTooLong or FfmpegMissing; reading the job may raise as well.
        """
        if not self._loaded:
            raise ModelNotReady(f"The model is not ready: {self._workers.detail}")
        if self.n_jobs >= self._settings.max_queue:
            raise QueueFull(self.n_jobs)
        options = options or JobOptions(self._settings.vad)
        job = Job(self._stages(), backlog=BACKLOG + self._workers.n - 1, keep_tokens=options.keep_tokens)
        analyse = self._dispatcher.analyser(job, Segmenter(self._workers.vad, self._policy, options.vad))
        feeder = asyncio.create_task(feed(job, self._decoding(path, options), analyse))
        try:
            with self._dispatcher.serving(job):
                await job.started
                yield job
        finally:
            feeder.cancel()
            await asyncio.wait([feeder])

    def _decoding(self, path: Path, options: JobOptions) -> AbstractAsyncContextManager[Recording]:
        max_seconds, ffmpeg = self._settings.max_audio_seconds, self._settings.ffmpeg
        return decode(path, max_seconds=max_seconds, audio_track=options.audio_track, ffmpeg=ffmpeg)

    async def _run(self) -> None:
        """Load the model, then work for as long as the engine lives; what ends that ends all jobs, and is seen."""
        try:
            await self._workers.load()
            self._loaded = True
            if not self._workers.attempted.done():
                self._workers.attempted.set_result(None)
            model = self.status
            said = (model.model, model.device, model.precision, model.precision_reason, model.kernels)
            log.info("Ready: %s on %s in %s (%s), kernels: %s", *said)
            await self._dispatcher.run()
        except Exception:
            log.exception("The engine has failed")
            self._loaded, self._workers.detail = False, "the engine has failed, see the log: restart the server"
            self._fail_jobs(RecognitionFailed())

    def _fail_jobs(self, error: AsrError) -> None:
        for job in self._dispatcher.jobs:
            job.fail(error)
