"""What a batch says while it runs, all on stderr: a line for each recording, and bars where somebody can see them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from operator import itemgetter
from time import perf_counter
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
)
from rich.progress import Task as Bar
from rich.text import Text

from asr_core.cli.plan import BatchItem
from asr_core.logs import subject


class _PaceColumn(ProgressColumn):
    """Seconds of sound a second, and how long the rest takes at that pace.

    The average since the beginning: text comes in chunks, and the speed between two of them says nothing.
    """

    def render(self, task: Bar) -> Text:
        if not task.completed or not task.elapsed:
            return Text()
        pace = task.completed / task.elapsed
        left = "" if task.remaining is None else f"  {timedelta(seconds=round(task.remaining / pace))} left"
        return Text(f"{pace:.1f}×{left}", style="progress.remaining")


@dataclass(frozen=True, slots=True)
class Failure:
    """A recording that was not transcribed, and why."""

    label: str
    reason: str


class Report:
    """The progress of `n_items` items."""

    def __init__(self, n_items: int) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._failures: dict[int, Failure] = {}
        self.audio_s = 0.0
        """Seconds of recordings that are done."""
        self._n_items = n_items
        self._n_over = 0
        self._begin = perf_counter()
        self._lengths: dict[int, float] = {}
        self._heard: dict[int, float] = {}
        self._started: dict[int, float] = {}
        self._bars: dict[int, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            _PaceColumn(),
            console=self.console,
            transient=True,
            redirect_stdout=False,  # would send transcripts to stderr
            redirect_stderr=False,
            disable=not self.console.is_terminal,
        )
        self._total = self._progress.add_task("", total=None, visible=False, start=False)

    @property
    def shows_bars(self) -> bool:
        return not self._progress.disable

    @property
    def failures(self) -> list[Failure]:
        """In the order of the items."""
        return [failure for _, failure in sorted(self._failures.items(), key=itemgetter(0))]

    @property
    def n_done(self) -> int:
        """Recordings transcribed."""
        return self._n_over - len(self._failures)

    @property
    def elapsed_s(self) -> float:
        return perf_counter() - self._begin

    def __enter__(self) -> Report:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, message: str) -> None:
        """A line of its own."""
        self.console.print(escape(message))

    def lengths_known(self, lengths: dict[int, float]) -> None:
        """How long the recordings are, by index, s; those missing do not tell."""
        self._lengths = lengths | self._lengths  # what was decoded is more exact
        for index, bar in self._bars.items():
            self._progress.update(bar, total=self._lengths.get(index))
        self._update_total()

    def start(self, index: int, item: BatchItem) -> None:
        self._started[index] = perf_counter()
        if len(self._started) == 1:
            self._progress.start_task(self._total)
        name = escape(item.label if len(item.label) <= 40 else f"…{item.label[-39:]}")
        self._bars[index] = self._progress.add_task(name, total=self._lengths.get(index))

    def heard(self, index: int, seconds: float) -> None:
        """A recording's text is there up to here."""
        self._heard[index] = seconds
        self._progress.update(self._bars[index], completed=seconds)
        self._update_total()

    def finish(self, index: int, item: BatchItem, seconds: float, warnings: Sequence[str] = ()) -> None:
        """A recording of this length is done, and written; its reader should know of `warnings`, sentences."""
        took = perf_counter() - self._started[index]
        self.audio_s += seconds
        self._over(index, seconds)
        targets = ", ".join(path.name for path in item.outputs.values()) or "standard output"
        self.say(f"[{self._n_over}/{self._n_items}] {item.label} → {targets}  ({seconds:.1f} s, {seconds / took:.1f}×)")
        if warnings:
            self.say(f"warning: {item.label}: {' '.join(warnings)}")

    def fail(self, index: int, item: BatchItem, reason: str) -> None:
        self._failures[index] = Failure(item.label, reason)
        self._over(index, self._lengths.get(index, 0.0))
        self.say(f"[{self._n_over}/{self._n_items}] {item.label}: FAILED: {reason}")

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Scope in which the terminal is free for other output."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def _over(self, index: int, seconds: float) -> None:
        self._n_over += 1
        self._heard[index] = self._lengths[index] = seconds
        if index in self._bars:  # it was begun
            self._progress.remove_task(self._bars.pop(index))
        self._update_total()

    def _update_total(self) -> None:
        total = sum(self._lengths.values()) if len(self._lengths) == self._n_items else None
        self._progress.update(
            self._total,
            description=f"[bold]{self._n_over} of {self._n_items} done",
            completed=sum(self._heard.values()),
            total=total,
            visible=self._n_items > 1,
        )


class LogLines(logging.Handler):
    """Shows the log among the report's lines, each record with the recording that it is about."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        about = "" if subject.get() == "-" else f"{subject.get()}: "
        self._report.say(f"{level}{about}{self.format(record)}")
