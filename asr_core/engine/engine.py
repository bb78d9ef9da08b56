"""Jobs in, segments out: one event loop that decides, workers that compute."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tenacity.wait import wait_base

from asr_core.audio.channels import ChannelSegmenter
from asr_core.audio.chunking import ChunkPolicy
from asr_core.audio.decode import Recording, decode
from asr_core.audio.segmenter import Segmenter
from asr_core.audio.vad import SileroNetwork
from asr_core.engine.compute import Workers
from asr_core.engine.dispatcher import Dispatcher, Tally
from asr_core.engine.ear import Ear
from asr_core.engine.feeding import feed
from asr_core.engine.jobs import BACKLOG, Job
from asr_core.engine.models import Load, Models, loader
from asr_core.engine.stages import NoStages, Stages
from asr_core.engine.start import RETRY_LOADING, Start
from asr_core.engine.waiting import Cutter
from asr_core.errors import AsrError, ModelNotReady, QueueFull, RecognitionFailed, ServerStopping, TooManySessions
from asr_core.model.cpu import available_cores, has_accelerator
from asr_core.process_memory import resident_mib
from asr_core.settings import Settings
from asr_core.speakers.encoder import encoder
from asr_core.speakers.sides import SidesWriter
from asr_core.speakers.voices import VoicesWriter
from asr_core.text.writer import Writer
from asr_core.types import RUSSIAN, JobOptions, Segment
from asr_core.wordlist import read_wordlist

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What the engine says about itself and its default model; `detail` explains why it is not ready."""

    model: str
    ready: bool
    """Whether jobs are taken, be it that they wait for the model to be loaded again."""
    loaded: bool = False
    """Whether the model is in memory."""
    device: str | None = None
    precision: str | None = None
    precision_reason: str | None = None
    kernels: str | None = None
    detail: str | None = None
    languages: tuple[str, ...] = RUSSIAN
    """Codes of what the model knows."""


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
        names = zip(settings.model_names, settings.models, strict=True)
        loads = {name: load or loader(settings, model) for name, model in names}
        # Elsewhere than in our network on the CPU, a batch is faster than its chunks, and one worker keeps all busy.
        self._workers = Workers(n_threads if native else 1, n_threads, has_spare=native)
        self._dispatcher = Dispatcher(self._workers, 1 if native else settings.batch_size)
        always = read_wordlist(settings.keywords_file) if settings.keywords_file else ()
        self._start = Start(retry)
        self._models = Models(loads, always, self._start.downloading, idle_s=settings.idle_unload_s)
        self._vad: SileroNetwork
        self._ready = False
        self._n_live = 0
        self._runner: asyncio.Task[None] | None = None

    @property
    def status(self) -> EngineStatus:
        model = self._settings.model_name
        if not self._ready:
            return EngineStatus(model, ready=False, detail=self._start.detail)
        return EngineStatus(model, ready=True, loaded=model in self._models, **asdict(self._models.about[model]))

    def languages(self, model: str) -> tuple[str, ...]:
        """Codes of what the model knows that a request for `model` means."""
        return self._models.about[self._settings.called(model)].languages

    def has_in_memory(self, model: str) -> bool:
        """Whether a request for `model` would not wait for it to be loaded."""
        return self._settings.called(model) in self._models

    @property
    def in_memory(self) -> dict[str, bool]:
        """Of each model's name, whether it is in memory at the moment."""
        return {name: name in self._models for name in self._settings.model_names}

    @property
    def n_jobs(self) -> int:
        """Jobs admitted at the moment."""
        return len(self._dispatcher.jobs)

    @property
    def n_live(self) -> int:
        """Live sessions at the moment."""
        return self._n_live

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
        self._start.begin()
        self._runner = asyncio.create_task(self._run())

    async def ready(self) -> None:
        """Wait until the model is loaded. Raises what ended the first attempt; the engine itself goes on trying."""
        await self._start.attempted

    async def stop(self) -> None:
        """End all jobs with ModelNotReady, and wait for what the workers are doing at the moment."""
        self._ready, self._start.detail = False, "the server is stopping"
        if self._runner:
            self._runner.cancel()
            await asyncio.wait([self._runner])
        self._start.end(ServerStopping())
        self._fail_jobs(ServerStopping())
        await self._models.stop()
        await self._workers.stop()

    @asynccontextmanager
    async def open(self, path: Path, options: JobOptions | None = None) -> AsyncIterator[Job]:
        """Transcribe the recording at `path` while the context lasts; leaving it ends everything that the job had.

        Entering takes a place and waits for the first of the sound, so that what cannot be decoded is known at once.
        Raises QueueFull, ModelNotReady, BadAudio, AudioTooLong or FfmpegMissing; reading the job may raise as well.
        """
        self._check_ready()
        if self.n_jobs >= self._settings.max_queue:
            raise QueueFull(self.n_jobs)
        options = options or JobOptions(self._settings.vad)
        voices = _voices(options)
        scribe = voices or (Writer() if options.channels == "mix" else SidesWriter())
        backlog = BACKLOG + self._workers.n - 1
        job = Job(self._stages(), scribe, voices, backlog=backlog, keep_tokens=options.keep_tokens)
        job.model = self._settings.called(options.model)
        job.known_languages = self.languages(options.model)
        analyse = self._dispatcher.analyser(job, self._cutter(options))

        async def attend() -> None:
            with job.stages.running("load") if job.model not in self._models else nullcontext():
                job.listening = await self._models.listening(job.model, options.hints)
            job.warnings.extend(job.listening.warnings)

        async def settle() -> Sequence[Segment]:
            return scribe.flush() if voices is None else await self._workers.run(voices.flush)

        feeder: asyncio.Task[None] | None = None
        try:
            with self._models.asked_for(job.model), self._dispatcher.serving(job):
                feeder = asyncio.create_task(feed(job, self._decoding(path, options), attend, analyse, settle))
                await job.started
                yield job
        finally:
            if feeder:
                feeder.cancel()
                await asyncio.wait([feeder])
            job.listening = None  # whoever keeps the job does not keep the model

    def _check_ready(self) -> None:
        if not self._ready:
            raise ModelNotReady(f"The model is not ready: {self._start.detail}")

    def _cutter(self, options: JobOptions) -> Cutter:
        make = partial(Segmenter, self._vad, self._policy, options.vad)
        return make() if options.channels == "mix" else ChannelSegmenter(make)

    @contextmanager
    def listen(self) -> Iterator[Ear]:
        """Hear the sound of a live session while the context lasts. Raises TooManySessions or ModelNotReady."""
        self._check_ready()
        if self._n_live >= self._settings.max_live:
            raise TooManySessions(self._n_live)
        self._n_live += 1
        try:
            with Ear(self._vad, self._dispatcher, self._models, self._settings.called("")) as ear:
                yield ear
        finally:
            self._n_live -= 1

    def _decoding(self, path: Path, options: JobOptions) -> AbstractAsyncContextManager[Recording]:
        max_seconds, ffmpeg = self._settings.max_audio_seconds, self._settings.ffmpeg
        track, channels = options.audio_track, options.channels
        return decode(path, max_seconds=max_seconds, audio_track=track, channels=channels, ffmpeg=ffmpeg)

    async def _run(self) -> None:
        """Load the model, then work for as long as the engine lives; what ends that ends all jobs, and is seen."""
        try:
            await self._start.attempt(self._load)
            model = self.status
            names = ", ".join(self._settings.model_names)
            said = (names, model.device, model.precision, model.precision_reason, model.kernels)
            log.info("Ready: %s on %s in %s (%s), kernels: %s", *said)
            if memory := resident_mib():
                log.info("The process has %d MiB of memory", memory)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._dispatcher.run())
                if self._settings.idle_unload_minutes:
                    tasks.create_task(self._models.tend())
        except Exception:
            log.exception("The engine has failed")
            self._ready, self._start.detail = False, "the engine has failed, see the log: restart the server"
            self._fail_jobs(RecognitionFailed())

    async def _load(self) -> None:
        await self._models.load_all()
        self._vad = await self._workers.run(SileroNetwork.load)
        await self._workers.try_two_threads(self._models.recognizers)
        self._ready = True

    def _fail_jobs(self, error: AsrError) -> None:
        for job in self._dispatcher.jobs:
            job.fail(error)
        self._dispatcher.refuse_hearings(error)


def _voices(options: JobOptions) -> VoicesWriter | None:
    """What tells voices apart, where that is asked for."""
    if options.speakers is None:
        return None
    n_speakers = None if options.speakers == "auto" else options.speakers
    return VoicesWriter(encoder, n_speakers, options.known_speakers, keep_tokens=options.keep_tokens)
