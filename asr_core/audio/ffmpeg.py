"""ffmpeg as a process: where it is found, what it may open and take, what it says, and how it ends."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from asr_core.audio.demuxers import DEMUXERS
from asr_core.audio.header import Header
from asr_core.errors import DecoderFailed, FfmpegMissing, ServerStopping

T = TypeVar("T")

MAX_ALLOCATION = 512 << 20
"""Bytes in one piece: enough for the index of a day of video, not for a cover picture of gigapixels."""

MAX_MEMORY = 1 << 30
"""Bytes of address space for ffmpeg, on Linux: a header of kilobytes may claim an index of gigabytes."""

PATIENCE_S = 120.0
"""How long ffmpeg may take for the next of its output."""

TOLD_TO_END = 255
"""ffmpeg's exit status after SIGTERM: it ends in good order then, as if the recording had ended there."""

LINE_LIMIT = 1 << 16
"""Bytes of one of ffmpeg's messages; of a longer one the rest is lost."""


def find_ffmpeg(configured: str = "") -> str:
    """The program: the configured one, else the imageio-ffmpeg package's, else the one on PATH.

    The package's is one static file, which starts in a quarter of the time that a distribution's takes, and the same
    version everywhere. The package itself is not imported, only looked into. Raises FfmpegMissing.
    """
    if configured:
        return configured
    package = find_spec("imageio_ffmpeg")
    for folder in package.submodule_search_locations or () if package else ():
        for program in Path(folder, "binaries").glob("ffmpeg-*"):
            if os.access(program, os.X_OK):
                return str(program)
    if on_path := shutil.which("ffmpeg"):
        return on_path
    raise FfmpegMissing("There is no ffmpeg: pip install imageio-ffmpeg, or set FFMPEG to the path of one.")


def input_options(path: Path) -> tuple[str, ...]:
    """Read `path` and nothing else; behind `file:`, an absolute path is neither an option nor a protocol."""
    return (
        *("-hide_banner", "-nostats", "-nostdin", "-loglevel", "level+info"),
        *("-max_alloc", str(MAX_ALLOCATION), "-threads", "1"),
        *("-protocol_whitelist", "file", "-format_whitelist", DEMUXERS, "-vn", "-sn", "-dn"),
        *("-i", f"file:{path.absolute()}"),
    )


class Tool:
    """A running ffmpeg."""

    def __init__(self, process: asyncio.subprocess.Process, patience_s: float) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.said = Header()
        """What it has said so far."""
        self._stdout = process.stdout
        self._process = process
        self._patience_s = patience_s
        self._described = asyncio.Event()
        self._listener = asyncio.create_task(self._listen(process.stderr))

    async def read(self, n_bytes: int = 1 << 18) -> bytes:
        """The next of its output, nothing at its end. Raises DecoderFailed if it does not come."""
        return await self._patiently(self._stdout.read(n_bytes))

    async def header(self) -> Header:
        """What it has said by the time that it begins to decode, or ends. Raises DecoderFailed if it does neither."""
        await self._patiently(self._described.wait())
        return self.said

    async def wait(self) -> int:
        """Wait until it ends, once its output has been read; give the exit status.

        Raises:
            DecoderFailed: it was killed, or did not get what it needs, which is no verdict on the recording.
            ServerStopping: it was asked to end, as supervisors ask all processes of a server that stops.
        """
        status = await self.ended()
        if status == TOLD_TO_END:
            raise ServerStopping()
        if status < 0:
            raise DecoderFailed(f"Decoding broke off: ffmpeg was ended by signal {-status}.")
        if self.said.no_resources:
            raise DecoderFailed(
                f"Decoding broke off: ffmpeg needs more memory than it may have, {MAX_MEMORY >> 20} MiB."
            )
        return status

    def let_run_on(self) -> None:
        """From now on have no thread of its interrupt another, on Linux: else each of four does at every frame.

        A quarter of its CPU time is saved. Where programs wait for cores, each frame then waits for them four times.
        """
        if sys.platform == "linux" and self._process.returncode is None:
            with suppress(OSError):  # it may have ended, or not be allowed to
                for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
                    os.sched_setscheduler(int(thread.name), os.SCHED_BATCH, os.sched_param(0))

    async def ended(self) -> int:
        """Wait until it ends, once its output has been read; give the exit status, whatever that is."""
        await self._patiently(asyncio.shield(self._listener))
        return await self._patiently(self._process.wait())

    async def stop(self) -> None:
        """Kill it if it still runs, and leave nothing of it."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)  # asyncio's own way reaps what its watcher waits for
        while await self._stdout.read(1 << 16):
            pass  # a pipe with unread sound in it would stay open
        await self._listener
        await self._process.wait()

    async def _patiently(self, awaitable: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._patience_s):
                return await awaitable
        except TimeoutError:
            raise DecoderFailed(f"Decoding broke off: ffmpeg did nothing for {self._patience_s:g} s.") from None

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        rest = b""
        while piece := await stderr.read(LINE_LIMIT):
            *lines, rest = (rest + piece).split(b"\n")
            rest = rest[:LINE_LIMIT]
            for line in lines:
                self.said.read(line.decode(errors="replace"))
            if self.said.complete:
                self._described.set()
        self.said.read(rest.decode(errors="replace"))
        self._described.set()


@asynccontextmanager
async def started(program: str, *arguments: str, patience_s: float, cpu_s: int | None = None) -> AsyncIterator[Tool]:
    """ffmpeg with these arguments, for as long as the scope lasts; it may use `cpu_s` seconds of a CPU, on Linux."""
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        # In a session of its own, since a terminal's Ctrl-C would look to it like the end of the recording.
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdin=nothing, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except (FileNotFoundError, PermissionError) as error:
        raise FfmpegMissing(f"{program} cannot be run: {error.strerror}. FFMPEG may name another ffmpeg.") from error
    except OSError as error:
        raise DecoderFailed(f"ffmpeg could not be started: {error.strerror}.") from error
    tool = Tool(process, patience_s)
    try:
        _limit(process.pid, cpu_s)
        yield tool
    finally:
        await asyncio.shield(asyncio.create_task(tool.stop()))  # a second cancellation does not interrupt it


def _limit(pid: int, cpu_s: int | None) -> None:
    if sys.platform == "linux":
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
            if cpu_s is not None:
                resource.prlimit(pid, resource.RLIMIT_CPU, (cpu_s, cpu_s))
