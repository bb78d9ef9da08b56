"""One batch from start to end: its messages, what interrupts it, its exit code."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager

from asr_core.cli.batch import Transcriber, run_batch, with_room
from asr_core.cli.output import Sink
from asr_core.cli.plan import BatchItem
from asr_core.cli.progress import LogLines, Report
from asr_core.errors import AsrError

Say = Callable[[str], None]
OpenTranscriber = Callable[[Say], AbstractAsyncContextManager[Transcriber]]
"""Makes a transcriber ready; it says what that involves."""

DONE, FAILED = 0, 1
GOES_ON = "The same command goes on from there."
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """The batch ended before it was through. Files and processes are cleaned up; threads may be busy."""

    exit_code = FAILED


class Interrupted(Stopped):
    """The user, or the system, asked the program to end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.strsignal(signum))
        self.exit_code = 128 + signum


def run_session(
    items: Sequence[BatchItem], sink: Sink, report: Report, open_transcriber: OpenTranscriber, ffmpeg: str
) -> int:
    """Transcribe `items`; give the exit code. Raises Stopped, after the reason has been told."""
    if not items:
        return DONE
    _show_log(report)
    try:
        with report:
            asyncio.run(_run(items, sink, report, open_transcriber, ffmpeg))
    except AsrError as error:
        report.say(f"error: {error}")
        if len(items) > 1:
            report.say(f"{report.n_done} of {len(items)} done. {GOES_ON}")
        raise Stopped from error
    except Interrupted:
        report.say(f"Interrupted: {report.n_done} of {len(items)} done. {GOES_ON}")
        raise
    _summarize(report, len(items))
    return FAILED if report.failures else DONE


async def _run(
    items: Sequence[BatchItem], sink: Sink, report: Report, open_transcriber: OpenTranscriber, ffmpeg: str
) -> None:
    with _interruptible():
        if possible := with_room(items, sink, report):
            async with open_transcriber(report.say) as transcriber:
                await run_batch(possible, transcriber, sink, report, ffmpeg)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Scope that a signal cancels, whereupon Interrupted is raised."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    received: list[int] = []

    def interrupt(signum: int) -> None:
        received.append(signum)
        task.cancel()

    for signum in SIGNALS:
        loop.add_signal_handler(signum, interrupt, signum)
    try:
        yield
    except asyncio.CancelledError:
        if received:
            raise Interrupted(received[0]) from None
        raise
    finally:
        for signum in SIGNALS:
            loop.remove_signal_handler(signum)


def _show_log(report: Report) -> None:
    logging.getLogger().handlers = [LogLines(report)]
    logging.getLogger("asr_core.model.download").setLevel(logging.INFO)  # how far it is
    logging.getLogger("asr_core.engine.start").disabled = True  # why loading failed, which is raised as well


def _summarize(report: Report, n_items: int) -> None:
    if n_items == 1:
        return
    speed = report.audio_s / report.elapsed_s
    report.say(f"{report.n_done} of {n_items} done: {report.audio_s:.0f} s in {report.elapsed_s:.1f} s, {speed:.1f}×")
    if report.failures:
        report.say(f"{len(report.failures)} failed:")
        for failure in report.failures:
            report.say(f"  {failure.label}: {failure.reason}")
