"""Processes, looked at from outside: any of them may end at any moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psutil  # type: ignore[import-untyped]  # comes with bentoml, its types do not


def below(process: psutil.Process, *, named: str = "", command: str = "") -> list[psutil.Process]:
    """What `process` has started, directly or not, with a name that begins and a command line that has a part so."""

    def matching() -> Iterator[psutil.Process]:
        for child in process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.name().startswith(named) and (not command or command in " ".join(child.cmdline())):
                    yield child

    with suppress(psutil.NoSuchProcess):
        return list(matching())
    return []


def decoders(process: psutil.Process | None = None) -> list[psutil.Process]:
    """The ffmpeg and ffprobe processes below `process`, or below this one."""
    return below(process or psutil.Process(), named="ff")


def has_ended(process: psutil.Process) -> bool:
    """Whether `process` does nothing any more, be it that nobody has asked for its status yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
