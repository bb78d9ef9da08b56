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
from asr_core.cli.plan import BatchItem
from asr_core.cli.progress import Report
from asr_core.errors import AsrError, BadAudio, FfmpegMissing, Unauthorized
from asr_core.logs import subject
from asr_core.types import Transcript

log = logging.getLogger(__name__)

Heard = Callable[[float], None]
"""Told how far into the recording the text is there, s."""


class NoServer(AsrError):
    """What is to transcribe is not there, or not any more."""


FATAL = (FfmpegMissing, Unauthorized, NoServer, OutputLost)
"""What would happen to every other recording too."""


class Transcriber(Protocol):
    """This process, a server or a cluster."""

    parallel: int
    """Recordings that it wants to have in hand, so as never to be idle."""

    async def transcribe(self, path: Path, heard: Heard) -> Transcript:
        """Raises AsrError, or OSError if the file cannot be read."""


async def run_batch(
    items: Sequence[BatchItem], transcriber: Transcriber, sink: Sink, report: Report, ffmpeg: str = ""
) -> None:
    """Transcribe every item's recording and hand the transcript to `sink`.

    One that fails is reported and does not stop the others, unless all would fail alike: then that error is raised.
    `ffmpeg`, as in `find_ffmpeg`, tells the bars how long the recordings are.
    """
    queue = iter(enumerate(items))

    async def work() -> None:
        for index, item in queue:
            await _transcribe(index, item, transcriber, sink, report)

    measuring = asyncio.create_task(_measure(items, report, ffmpeg)) if report.shows_bars else None
    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(transcriber.parallel, len(items))):
                workers.create_task(work())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        if measuring:
            measuring.cancel()
            await asyncio.wait([measuring])


async def _transcribe(index: int, item: BatchItem, transcriber: Transcriber, sink: Sink, report: Report) -> None:
    subject.set(item.label)
    report.start(index, item)
    try:
        _check_readable(item.recording)
        transcript = await transcriber.transcribe(item.recording, lambda seconds: report.heard(index, seconds))
        sink.take(index, item, transcript)
    except FATAL:
        raise
    except Exception as error:
        sink.take(index, item, None)
        report.fail(index, item, _reason(error, item))
        if not isinstance(error, AsrError | OSError):
            log.exception("This should not have happened")
    else:
        report.finish(index, item, transcript.duration_s)


def _check_readable(path: Path) -> None:
    """Raise OSError or BadAudio for what is no file of ours, before anybody else stumbles over it."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise BadAudio("It is not a regular file; standard input is - instead.")
    with path.open("rb"):
        pass


def _reason(error: Exception, item: BatchItem) -> str:
    if isinstance(error, OSError) and error.strerror:
        return (
            error.strerror if error.filename in (None, str(item.recording)) else f"{error.strerror}: {error.filename}"
        )
    return str(error) or type(error).__name__


async def _measure(items: Sequence[BatchItem], report: Report, ffmpeg: str) -> None:
    """Find out how long the recordings are, for the bars; what cannot be read now is reported at its turn."""
    lengths = {}
    for index, item in enumerate(items):
        try:
            seconds = await probe(item.recording, ffmpeg)
        except (AsrError, OSError):
            seconds = 0.0
        if seconds is not None:
            lengths[index] = seconds
    report.lengths_known(lengths)
