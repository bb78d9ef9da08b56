"""Jobs in, segments out: one event loop that decides, workers that compute.

All state belongs to the event loop, so there are no locks. A free worker first does the speech detection that jobs wait
for (milliseconds), then takes what the scheduler picks: on a CPU one chunk. Chunks of one job may be computed beside
each other; its segments come out in order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tenacity.wait import wait_base

from asr_core.audio.chunking import ChunkPolicy
from asr_core.audio.decode import decode
from asr_core.audio.segmenter import Segmenter
from asr_core.engine.compute import RETRY_LOADING, Load, Workers
from asr_core.engine.jobs import Job
from asr_core.engine.scheduler import Scheduler
from asr_core.engine.stages import NoStages, Stages
from asr_core.errors import AsrError, ModelNotReady, QueueFull, RecognitionFailed, ServerStopping
from asr_core.model.cpu import available_cores, has_accelerator
from asr_core.model.download import Progress
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.settings import Settings
from asr_core.types import SAMPLE_RATE, Chunk, Hypothesis, JobOptions, Pcm

log = logging.getLogger(__name__)

ALONE_FROM = 2 * SAMPLE_RATE
"""Samples from which a piece that is alone is computed by several threads. A shorter one gains nothing by it, and of a
fraction of a second oneDNN adds up the sums in another order then."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What the engine says about itself; `detail` explains why the model is not loaded."""

    model: str
    loaded: bool
    device: str | None = None
    precision: str | None = None
    precision_reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class _Analysis:
    """Speech detection in a job's next block, and the number of chunks that it gave."""

    job: Job
    segmenter: Segmenter
    block: Pcm
    is_last: bool
    n_chunks: asyncio.Future[int]

    def run(self) -> list[Chunk]:
        return self.segmenter.push(self.block) + (self.segmenter.flush() if self.is_last else [])


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
        self._n_threads = settings.num_threads or available_cores()
        self._workers = Workers(load or loader(settings), self._n_threads if native else 1, retry)
        self._scheduler: Scheduler[Job] = Scheduler(1 if native else settings.batch_size)
        self._n_computing = 0
        self._jobs: set[Job] = set()
        self._analyses: deque[_Analysis] = deque()
        self._work = asyncio.Event()
        self._loaded = False
        self._runner: asyncio.Task[None] | None = None
        self.audio_s = 0.0
        """Seconds of sound that the model has heard."""
        self.compute_s = 0.0
        """Seconds that it took the model."""
        self.wait_s = 0.0
        """Seconds that chunks have waited for the model, added up."""
        self.n_waited = 0
        """Chunks whose wait is over."""

    @property
    def status(self) -> EngineStatus:
        model = self._settings.model_name
        if not self._loaded:
            return EngineStatus(model, loaded=False, detail=self._workers.detail)
        recognizer = self._workers.recognizer
        return EngineStatus(model, True, recognizer.device, recognizer.precision, recognizer.precision_reason)

    @property
    def n_jobs(self) -> int:
        """Jobs admitted at the moment."""
        return len(self._jobs)

    @property
    def n_waiting(self) -> int:
        """Chunks that wait for the model at the moment."""
        return sum(len(job.queued_at) for job in self._jobs)

    def ahead_of(self, job: Job) -> int:
        """How many other recordings come first when the model has time again; 0 where the job's turn is next."""
        return self._scheduler.ahead_of(job)

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
        for job in self._jobs:
            job.fail(ServerStopping())
        await self._workers.stop()

    @asynccontextmanager
    async def open(self, path: Path, options: JobOptions | None = None) -> AsyncIterator[Job]:
        """Transcribe the recording at `path` while the context lasts; leaving it ends everything that the job had.

        Entering takes a place and waits for the first of the sound, so that what cannot be decoded is known at once.
        Raises QueueFull, ModelNotReady, BadAudio, AudioTooLong or FfmpegMissing; reading the job may raise as well.
        """
        if not self._loaded:
            raise ModelNotReady(f"The model is not ready: {self._workers.detail}")
        if len(self._jobs) >= self._settings.max_queue:
            raise QueueFull(len(self._jobs))
        options = options or JobOptions(self._settings.vad)
        job = Job(self._stages(), keep_tokens=options.keep_tokens)
        self._jobs.add(job)
        self._scheduler.add(job)
        feeder = asyncio.create_task(self._feed(job, path, options))
        try:
            await job.started
            yield job
        finally:
            self._scheduler.remove(job)
            self._jobs.discard(job)
            feeder.cancel()
            await asyncio.wait([feeder])

    async def _feed(self, job: Job, path: Path, options: JobOptions) -> None:
        """Decode the recording and have it cut into chunks, no further ahead than the job may be."""
        segmenter = Segmenter(self._workers.vad, self._policy, options.vad)
        try:
            async with AsyncExitStack() as scope:
                with job.stages.running("decode"):
                    decoding = decode(
                        path,
                        max_seconds=self._settings.max_audio_seconds,
                        audio_track=options.audio_track,
                        ffmpeg=self._settings.ffmpeg,
                    )
                    blocks = await scope.enter_async_context(decoding)
                async for block, is_last in _marking_last(_each_a_stage(blocks, job)):
                    job.start()
                    job.samples += len(block)
                    with job.stages.running("vad"):
                        n_chunks = await self._analyse(job, segmenter, block, is_last)
                    await job.make_room(n_chunks)
                job.warnings.extend(blocks.warnings)
                job.audio_track = blocks.audio_track
            await job.finish()
        except Exception as error:
            if not isinstance(error, AsrError):
                log.exception("A recording could not be fed to the model")
            job.fail(error)

    async def _analyse(self, job: Job, segmenter: Segmenter, block: Pcm, is_last: bool) -> int:
        """Have speech detected in the next block; its chunks are queued when this returns their number."""
        analysis = _Analysis(job, segmenter, block, is_last, asyncio.get_running_loop().create_future())
        self._analyses.append(analysis)
        self._work.set()
        return await analysis.n_chunks

    async def _run(self) -> None:
        """Load the model, then work for as long as the engine lives; what ends that ends all jobs, and is seen."""
        try:
            await self._workers.load()
            self._loaded = True
            if not self._workers.attempted.done():
                self._workers.attempted.set_result(None)
            model = self.status
            log.info("Ready: %s on %s in %s (%s)", model.model, model.device, model.precision, model.precision_reason)
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._workers.n):
                    workers.create_task(self._serve())
        except Exception:
            log.exception("The engine has failed")
            self._loaded, self._workers.detail = False, "the engine has failed, see the log: restart the server"
            for job in self._jobs:
                job.fail(RecognitionFailed())

    async def _serve(self) -> None:
        """What one worker does."""
        while True:
            self._work.clear()
            for _ in range(len(self._analyses)):  # not those that come meanwhile: silence could go on for ever
                if self._analyses:  # another worker may have been faster
                    await self._run_analysis(self._analyses.popleft())
            if batch := self._scheduler.next_batch():
                self._end_wait(batch)
                self._n_computing += 1
                try:
                    await self._run_batch(batch)
                finally:
                    self._n_computing -= 1
            else:
                await self._work.wait()

    async def _run_analysis(self, analysis: _Analysis) -> None:
        if analysis.job not in self._jobs:
            return
        try:
            chunks = await self._workers.run(analysis.run)
        except Exception as error:
            if analysis.job in self._jobs:
                analysis.n_chunks.set_exception(error)
            return
        if analysis.job in self._jobs:
            for chunk in chunks:
                self._scheduler.queue(analysis.job, chunk)
                analysis.job.queued_at.append(time.perf_counter())
            analysis.n_chunks.set_result(len(chunks))

    def _end_wait(self, batch: Sequence[tuple[Job, Chunk]]) -> None:
        now = time.perf_counter()
        for job, _ in batch:
            waited = now - job.queued_at.popleft()
            job.stages.over("queue", waited)
            self.wait_s += waited
        self.n_waited += len(batch)

    async def _run_batch(self, batch: Sequence[tuple[Job, Chunk]]) -> None:
        begin = time.perf_counter()
        try:
            with ExitStack() as stages:
                for job, _ in batch:
                    stages.enter_context(job.stages.running("model"))
                chunks = [chunk for _, chunk in batch]
                work = partial(self._workers.recognize, chunks, self._threads_for(chunks))
                hypotheses = await self._workers.run(work)
            heard = list(zip(batch, hypotheses, strict=True))
        except Exception:
            log.exception("The model failed on a batch of %d", len(batch))
            await self._run_one_by_one(batch)
            return
        self.compute_s += time.perf_counter() - begin
        for (job, chunk), hypothesis in heard:
            self._deliver(job, chunk, hypothesis)

    def _threads_for(self, chunks: Sequence[Chunk]) -> int:
        """Threads inside torch: one where workers have company, all where there is one worker, or for one alone."""
        alone = self._n_computing == 1 and not self.n_waiting and len(chunks[0].pcm) >= ALONE_FROM
        return self._n_threads if self._workers.n == 1 or alone else 1

    async def _run_one_by_one(self, batch: Sequence[tuple[Job, Chunk]]) -> None:
        """Try again without company: one recording that the model fails on must not spoil the others' jobs."""
        for job, chunk in batch:
            if len(batch) > 1:
                await self._run_batch([(job, chunk)])
            elif job in self._jobs:
                job.fail(RecognitionFailed())

    def _deliver(self, job: Job, chunk: Chunk, hypothesis: Hypothesis) -> None:
        self.audio_s += chunk.span.end_s - chunk.span.start_s
        if job not in self._jobs:
            return
        job.heard_s = max(job.heard_s, chunk.span.end_s)
        try:
            job.heard(chunk, hypothesis)
        except Exception:
            log.exception("What the model heard could not be written down")
            job.fail(RecognitionFailed())


async def _each_a_stage(blocks: AsyncIterator[Pcm], job: Job) -> AsyncIterator[Pcm]:
    """The blocks; waiting for one is decoding it, as far as the job can tell."""
    while True:
        with job.stages.running("decode"):
            block = await anext(blocks, None)
        if block is None:
            return
        yield block


async def _marking_last(blocks: AsyncIterator[Pcm]) -> AsyncIterator[tuple[Pcm, bool]]:
    """Each block, and whether it is the last: that one's chunks are then had in one go."""
    held: Pcm | None = None
    async for block in blocks:
        if held is not None:
            yield held, False
        held = block
    if held is not None:
        yield held, True


def loader(settings: Settings) -> Load:
    """What loads the model that `settings` ask for."""

    def load(progress: Progress) -> Recognizer:
        return load_recognizer(
            settings.model,
            precision=settings.precision,
            device=settings.device,
            threads=settings.num_threads or None,
            models_dir=settings.models_dir,
            engine=settings.engine,
            progress=progress,
        )

    return load
