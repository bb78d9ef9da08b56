"""A batch of recordings through whatever transcribes them, several at a time."""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from asr_core.audio.decode import probe
from asr_core.cli.output import OutputLost, Sink
from asr_core.cli.plan import Task
from asr_core.cli.progress import Report
from asr_core.errors import AsrError, BadAudio, FfmpegMissing, Unauthorized
from asr_core.logs import request_id
from asr_core.types import Transcript

log = logging.getLogger(__name__)

Heard = Callable[[float], None]
"""Told how far into the recording the text is there, s."""


class Gone(AsrError):
    """What is to transcribe is not there, or not any more."""


HOPELESS = (FfmpegMissing, Unauthorized, Gone, OutputLost)
"""What would happen to every other recording too."""


class Transcriber(Protocol):
    """This process, a server or a cluster."""

    parallel: int
    """Recordings that it wants to have in hand, so as never to be idle."""

    async def transcribe(self, path: Path, heard: Heard) -> Transcript:
        """Raises AsrError, or OSError if the file cannot be read."""


async def run_batch(tasks: Sequence[Task], transcriber: Transcriber, sink: Sink, report: Report) -> None:
    """Transcribe every task's recording and hand the transcript to `sink`.

    One that fails is reported and does not stop the others, unless all would fail alike: then that error is raised.
    """
    queue = iter(enumerate(tasks))

    async def work() -> None:
        for index, task in queue:
            await _transcribe(index, task, transcriber, sink, report)

    measuring = asyncio.create_task(_measure(tasks, report)) if report.shows_bars else None
    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(transcriber.parallel, len(tasks))):
                workers.create_task(work())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        if measuring:
            measuring.cancel()
            await asyncio.wait([measuring])


async def _transcribe(index: int, task: Task, transcriber: Transcriber, sink: Sink, report: Report) -> None:
    request_id.set(task.label)
    report.start(index, task)
    try:
        _check_readable(task.recording)
        transcript = await transcriber.transcribe(task.recording, lambda seconds: report.heard(index, seconds))
        sink.take(index, task, transcript)
    except HOPELESS:
        raise
    except Exception as error:
        sink.take(index, task, None)
        report.fail(index, task, _reason(error, task))
        if not isinstance(error, AsrError | OSError):
            log.exception("This should not have happened")
    else:
        report.finish(index, task, transcript.duration_s)


def _check_readable(path: Path) -> None:
    """Raise OSError or BadAudio for what is no file of ours, before anybody else stumbles over it."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise BadAudio("It is not a regular file; standard input is - instead.")
    with path.open("rb"):
        pass


def _reason(error: Exception, task: Task) -> str:
    if isinstance(error, OSError) and error.strerror:
        return (
            error.strerror if error.filename in (None, str(task.recording)) else f"{error.strerror}: {error.filename}"
        )
    return str(error) or type(error).__name__


async def _measure(tasks: Sequence[Task], report: Report) -> None:
    """Find out how long the recordings are, for the bars; what cannot be read now is reported at its turn."""
    lengths = {}
    for index, task in enumerate(tasks):
        try:
            seconds = await probe(task.recording)
        except (AsrError, OSError):
            seconds = 0.0
        if seconds is not None:
            lengths[index] = seconds
    report.lengths_known(lengths)
