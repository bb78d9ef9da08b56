"""Jobs in, segments out: one event loop that decides, workers that compute."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tenacity.wait import wait_base

from asr_core.audio.channels import ChannelSegmenter
from asr_core.audio.chunking import ChunkPolicy
from asr_core.audio.decode import Recording, decode
from asr_core.audio.segmenter import Segmenter
from asr_core.engine.compute import RETRY_LOADING, Load, Workers, loader
from asr_core.engine.dispatcher import Cutter, Dispatcher, Tally
from asr_core.engine.ear import Ear
from asr_core.engine.feeding import feed
from asr_core.engine.hints import Glossaries
from asr_core.engine.jobs import BACKLOG, Job
from asr_core.engine.stages import NoStages, Stages
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
    """What the engine says about itself; `detail` explains why the model is not loaded."""

    model: str
    loaded: bool
    device: str | None = None
    precision: str | None = None
    precision_reason: str | None = None
    kernels: str | None = None
    detail: str | None = None
    languages: tuple[str, ...] = RUSSIAN
    """Codes of what the loaded model knows."""


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
        self._workers = Workers(loads, n_threads if native else 1, n_threads, retry)
        self._dispatcher = Dispatcher(self._workers, 1 if native else settings.batch_size)
        always = read_wordlist(settings.keywords_file) if settings.keywords_file else ()
        self._glossaries = Glossaries(self._workers, always)
        self._loaded = False
        self._n_live = 0
        self._runner: asyncio.Task[None] | None = None

    @property
    def status(self) -> EngineStatus:
        model = self._settings.model_name
        if not self._loaded:
            return EngineStatus(model, loaded=False, detail=self._workers.detail)
        recognizer = self._workers.recognizers[model]
        return EngineStatus(
            model,
            True,
            recognizer.device,
            recognizer.precision,
            recognizer.precision_reason,
            recognizer.kernels,
            languages=recognizer.languages,
        )

    def languages(self, model: str) -> tuple[str, ...]:
        """Codes of what the loaded model knows that a request for `model` means."""
        return self._workers.recognizers[self._settings.called(model)].languages

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
        voices = _voices(options)
        scribe = voices or (Writer() if options.channels == "mix" else SidesWriter())
        backlog = BACKLOG + self._workers.n - 1
        job = Job(self._stages(), scribe, voices, backlog=backlog, keep_tokens=options.keep_tokens)
        job.model = self._settings.called(options.model)
        job.known_languages = self.languages(options.model)
        analyse = self._dispatcher.analyser(job, self._cutter(options))

        async def settle() -> Sequence[Segment]:
            return scribe.flush() if voices is None else await self._workers.run(voices.flush)

        feeder: asyncio.Task[None] | None = None
        try:
            with self._dispatcher.serving(job):
                listening = await self._glossaries.find(job.model, options.hints)
                job.glossary = listening.glossary
                job.warnings.extend(listening.warnings)
                feeder = asyncio.create_task(feed(job, self._decoding(path, options), analyse, settle))
                await job.started
                yield job
        finally:
            if feeder:
                feeder.cancel()
                await asyncio.wait([feeder])

    def _cutter(self, options: JobOptions) -> Cutter:
        make = partial(Segmenter, self._workers.vad, self._policy, options.vad)
        return make() if options.channels == "mix" else ChannelSegmenter(make)

    @contextmanager
    def listen(self) -> Iterator[Ear]:
        """Hear the sound of a live session while the context lasts. Raises TooManySessions or ModelNotReady."""
        if not self._loaded:
            raise ModelNotReady(f"The model is not ready: {self._workers.detail}")
        if self._n_live >= self._settings.max_live:
            raise TooManySessions(self._n_live)
        self._n_live += 1
        try:
            with Ear(self._workers.vad, self._dispatcher, self._glossaries, self._settings.called("")) as ear:
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
            await self._workers.load()
            self._loaded = True
            if not self._workers.attempted.done():
                self._workers.attempted.set_result(None)
            model = self.status
            names = ", ".join(self._settings.model_names)
            said = (names, model.device, model.precision, model.precision_reason, model.kernels)
            log.info("Ready: %s on %s in %s (%s), kernels: %s", *said)
            if memory := resident_mib():
                log.info("The process has %d MiB of memory", memory)
            await self._dispatcher.run()
        except Exception:
            log.exception("The engine has failed")
            self._loaded, self._workers.detail = False, "the engine has failed, see the log: restart the server"
            self._fail_jobs(RecognitionFailed())

    def _fail_jobs(self, error: AsrError) -> None:
        for job in self._dispatcher.jobs:
            job.fail(error)
        self._dispatcher.refuse_hearings(error)


def _voices(options: JobOptions) -> VoicesWriter | None:
    """What tells voices apart, where that is asked for."""
    if options.speakers is None:
        return None
    n_speakers = None if options.speakers == "auto" else options.speakers
    return VoicesWriter(encoder, n_speakers, options.known_speakers)
