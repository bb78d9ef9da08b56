"""What each worker does next: speech detection that a job waits for, what live sessions want heard, then the chunks
that the scheduler picks. A short recording that comes while all of them have long chunks in hand waits for none: it has
a spare worker, which shares their cores.

All state belongs to the event loop, so there are no locks. Chunks of one job may be computed beside each other; its
segments come out in order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from asr_core.engine.compute import Piece, Workers, recognize
from asr_core.engine.feeding import Analyse
from asr_core.engine.jobs import Job
from asr_core.engine.scheduler import Scheduler
from asr_core.engine.waiting import SHORT, Analysis, Cutter, Hearing
from asr_core.errors import RecognitionFailed, ServerStopping
from asr_core.model.glossary import Glossary
from asr_core.model.heap import give_back
from asr_core.model.recognizer import Recognizer
from asr_core.types import SAMPLE_RATE, Chunk, Hypothesis, Pcm, Span

log = logging.getLogger(__name__)

ALONE_FROM = SAMPLE_RATE
"""Samples from which a piece that is alone is computed by two threads; a shorter one gains nothing by it."""

TIDY_AFTER_S = 5.0
"""Seconds without work after which free memory goes back to the system: getting it again takes a note milliseconds."""

HEARINGS_IN_A_ROW = 4
"""So many go before a file's chunk: however many sessions there are, files get on."""


@dataclass(slots=True)
class Tally:
    """What has been done so far."""

    audio_s: float = 0.0
    """Seconds of sound that the model has heard."""
    compute_s: float = 0.0
    """Seconds that workers took for that, added up."""
    wait_s: float = 0.0
    """Seconds that chunks have waited for a worker, added up."""
    n_waited: int = 0
    """Chunks whose wait is over."""
    live_compute_s: float = 0.0
    """Seconds that workers took for live sessions, which are in none of the others."""


class Dispatcher:
    """Gives pieces of the open jobs to `workers`, `batch_size` chunks at a time at most."""

    def __init__(self, workers: Workers, batch_size: int) -> None:
        self.jobs: set[Job] = set()
        """Those that are open: what belongs to any other is dropped."""
        self.tally = Tally()
        self._workers = workers
        self._scheduler: Scheduler[Job] = Scheduler(batch_size)
        self._analyses: deque[Analysis] = deque()
        self._hearings: deque[Hearing] = deque()
        self._work = asyncio.Event()
        self._work_for_spare = asyncio.Event()
        self._n_computing = 0
        self._n_with_long = 0  # workers that have a long chunk in hand
        self._untidy = False  # whether something was computed since free memory was given back

    @property
    def n_waiting(self) -> int:
        """Chunks that wait for a worker at the moment."""
        return sum(len(job.queued_at) for job in self.jobs)

    def ahead_of(self, job: Job) -> int:
        """How many other recordings come first when a worker has time again; 0 where the job's turn is next."""
        return self._scheduler.ahead_of(job)

    @contextmanager
    def serving(self, job: Job) -> Iterator[None]:
        """Scope in which the job has its turns."""
        self.jobs.add(job)
        self._scheduler.add(job)
        try:
            yield
        finally:
            self._scheduler.remove(job)
            self.jobs.discard(job)

    def analyser(self, job: Job, cutter: Cutter) -> Analyse:
        """What cuts the job's blocks into chunks, on whichever worker is free, and queues them."""

        async def analyse(blocks: Sequence[Pcm], is_last: bool) -> int:
            analysis = Analysis(job, cutter, blocks, is_last, asyncio.get_running_loop().create_future())
            self._analyses.append(analysis)
            self._work.set()
            self._call_spare()
            return await analysis.n_chunks

        return analyse

    async def hear(self, pcm: Pcm, recognizer: Recognizer, glossary: Glossary | None = None) -> Hypothesis:
        """What the model makes of `pcm`, ahead of files' chunks. Raises RecognitionFailed, or what ends the engine."""
        chunk = Chunk(0, Span(0, len(pcm)), pcm, np.empty(0, np.float32))
        hearing = Hearing(Piece(recognizer, chunk, glossary), asyncio.get_running_loop().create_future())
        self._hearings.append(hearing)
        self._work.set()
        return await hearing.heard

    def refuse_hearings(self, error: Exception) -> None:
        """End those that wait."""
        while self._hearings:
            hearing = self._hearings.popleft()
            if not hearing.heard.done():
                hearing.heard.set_exception(error)

    async def run(self) -> None:
        """Keep the workers busy, for ever."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._workers.n):
                workers.create_task(self._keep_busy())
            if self._workers.has_spare:
                workers.create_task(self._spare())

    async def _keep_busy(self) -> None:
        """What one worker does."""
        while True:
            self._work.clear()
            for _ in range(len(self._analyses)):  # not those that come meanwhile: silence could go on for ever
                if self._analyses:  # another worker may have been faster
                    await self._run_analysis(self._analyses.popleft())
            for _ in range(HEARINGS_IN_A_ROW):
                if self._hearings:
                    await self._run_hearing(self._hearings.popleft())
            if batch := self._scheduler.next_batch():
                with self._in_hand(batch):
                    await self._run_batch(batch)
            elif not self._hearings:
                await self._rest()

    async def _spare(self) -> None:
        """What the spare worker does: all of a short recording, where it would have to wait for long chunks."""
        while True:
            await self._work_for_spare.wait()
            self._work_for_spare.clear()
            if analysis := self._short_waiting():
                self._analyses.remove(analysis)
                await self._run_analysis(analysis)
                while batch := self._scheduler.next_of(analysis.job):
                    with self._in_hand(batch):
                        await self._run_batch(batch)
                self._call_spare()

    def _call_spare(self) -> None:
        if self._short_waiting():
            self._work_for_spare.set()

    def _short_waiting(self) -> Analysis | None:
        """The first short recording of those that wait, if it would have to wait for a long chunk."""
        if self._n_with_long < self._workers.n:
            return None
        return next((analysis for analysis in self._analyses if analysis.is_of_short_recording), None)

    @contextmanager
    def _in_hand(self, batch: Sequence[tuple[Job, Chunk]]) -> Iterator[None]:
        """Scope in which a worker computes what the scheduler picked."""
        self._end_wait(batch)
        is_long = len(batch[0][1].span) > SHORT
        self._n_with_long += is_long
        self._call_spare()
        try:
            with self._computing():
                yield
        finally:
            self._n_with_long -= is_long

    @contextmanager
    def _computing(self) -> Iterator[None]:
        self._n_computing += 1
        self._untidy = True
        try:
            yield
        finally:
            self._n_computing -= 1

    async def _rest(self) -> None:
        """Wait for work; once there has been none for a while, give back the memory that the last of it took."""
        try:
            async with asyncio.timeout(TIDY_AFTER_S if self._untidy else None):
                await self._work.wait()
        except TimeoutError:
            if self._untidy and not self._n_computing:
                self._untidy = False
                await self._workers.run(give_back)

    async def _run_analysis(self, analysis: Analysis) -> None:
        if analysis.job not in self.jobs:
            return
        try:
            chunks = await self._workers.run(analysis.run)
        except Exception as error:
            if analysis.job in self.jobs:
                analysis.n_chunks.set_exception(error)
            return
        if analysis.job in self.jobs:
            analysis.job.is_whole = analysis.is_last
            for chunk in chunks:
                self._scheduler.queue(analysis.job, chunk)
                analysis.job.queued_at.append(time.perf_counter())
            self._work.set()  # this worker will take one of them
            analysis.n_chunks.set_result(len(chunks))

    async def _run_hearing(self, hearing: Hearing) -> None:
        if hearing.heard.done():  # the session is over
            return
        begin = time.perf_counter()
        try:
            with self._computing():
                work = partial(recognize, [hearing.piece])
                (hypothesis,) = await self._workers.run(work, self._threads_for([hearing.piece.chunk]))
        except asyncio.CancelledError:
            if not hearing.heard.done():
                hearing.heard.set_exception(ServerStopping())
            raise
        except Exception:
            log.exception("The model failed on a live session's sound")
            if not hearing.heard.done():
                hearing.heard.set_exception(RecognitionFailed())
            return
        self.tally.live_compute_s += time.perf_counter() - begin
        if not hearing.heard.done():
            hearing.heard.set_result(hypothesis)

    def _end_wait(self, batch: Sequence[tuple[Job, Chunk]]) -> None:
        now = time.perf_counter()
        for job, _ in batch:
            waited = now - job.queued_at.popleft()
            job.stages.over("queue", waited)
            self.tally.wait_s += waited
        self.tally.n_waited += len(batch)

    async def _run_batch(self, batch: Sequence[tuple[Job, Chunk]]) -> None:
        begin = time.perf_counter()
        try:
            with ExitStack() as stages:
                for job, _ in batch:
                    stages.enter_context(job.stages.running("model"))
                chunks = [chunk for _, chunk in batch]
                pieces = [_piece(job, chunk) for job, chunk in batch]
                hypotheses = await self._workers.run(partial(recognize, pieces), self._threads_for(chunks))
            await self._listen(batch)
            heard = list(zip(batch, hypotheses, strict=True))
        except Exception:
            log.exception("The model failed on a batch of %d", len(batch))
            await self._run_one_by_one(batch)
            return
        self.tally.compute_s += time.perf_counter() - begin
        for (job, chunk), hypothesis in heard:
            self._deliver(job, chunk, hypothesis)

    async def _listen(self, batch: Sequence[tuple[Job, Chunk]]) -> None:
        """Have those jobs hear their chunks' voices that want to know them."""
        for job, chunk in batch:
            if job.listener is not None and job in self.jobs:
                with job.stages.running("voices"):
                    await self._workers.run(partial(job.listener.hear, chunk))

    def _threads_for(self, chunks: Sequence[Chunk]) -> int:
        """Threads inside torch: a worker that is alone has the core of one that has nothing to do.

        It is not alone where more sound is to come, which is being decoded and will be looked at meanwhile.
        """
        idle = self._n_computing == 1 and not self.n_waiting and all(job.is_whole for job in self.jobs)
        alone = idle and len(chunks[0].pcm) >= ALONE_FROM
        return self._workers.threads_alone if self._workers.n == 1 or alone else 1

    async def _run_one_by_one(self, batch: Sequence[tuple[Job, Chunk]]) -> None:
        """Try again without company: one recording that the model fails on must not spoil the others' jobs."""
        for job, chunk in batch:
            if job not in self.jobs:
                continue
            if len(batch) > 1:
                await self._run_batch([(job, chunk)])
            else:
                job.fail(RecognitionFailed())

    def _deliver(self, job: Job, chunk: Chunk, hypothesis: Hypothesis) -> None:
        self.tally.audio_s += chunk.span.end_s - chunk.span.start_s
        if job not in self.jobs:
            return
        job.heard_s = max(job.heard_s, chunk.span.end_s)
        try:
            job.heard(chunk, hypothesis)
        except Exception:
            log.exception("What the model heard could not be written down")
            job.fail(RecognitionFailed())


def _piece(job: Job, chunk: Chunk) -> Piece:
    assert job.listening is not None
    return Piece(job.listening.recognizer, chunk, job.listening.glossary)
