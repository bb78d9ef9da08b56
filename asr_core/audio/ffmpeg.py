"""ffmpeg and ffprobe as processes: what they may open and take, what they say, and how they end."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from asr_core.errors import AsrError, FfmpegMissing, ServerStopping

DEMUXERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,asf_o,au,avi,caf,dsf,dss,dts,dtshd,eac3,flac,flv,gxf,iff,ilbc,ircam,ivr,loas,"
    "matroska,mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nsv,nut,nuv,ogg,oma,pvf,qcp,rm,shn,smjpeg,sox,tak,truehd,"
    "tta,voc,vqf,w64,wav,wsd,wtv,wv,xwma"
)
"""Formats of sound and video that hold their own data. A name that this ffmpeg does not know does no harm."""

MAX_ALLOCATION = 512 << 20
"""Bytes in one piece: enough for the index of a day of video, not for a cover picture of gigapixels."""

MAX_MEMORY = 1 << 30
"""Bytes of address space for ffmpeg, on Linux: a header of kilobytes may claim an index of gigabytes."""

TOLD_TO_END = 255
"""ffmpeg's exit status after SIGTERM: it ends in good order then, as if the recording had ended there."""

STDERR_TAIL = 4096
"""Bytes of ffmpeg's messages that are kept: the last ones say why it stopped."""


def input_options(path: Path) -> tuple[str, ...]:
    """Read `path` and nothing else; behind `file:`, an absolute path is neither an option nor a protocol."""
    return (
        *("-hide_banner", "-max_alloc", str(MAX_ALLOCATION), "-threads", "1"),
        *("-protocol_whitelist", "file", "-format_whitelist", DEMUXERS),
        *("-i", f"file:{path.absolute()}"),
    )


class Tool:
    """A running ffmpeg or ffprobe."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdout = process.stdout
        self._process = process
        self._messages = bytearray()
        self._listener = asyncio.create_task(self._listen(process.stderr))

    async def wait(self) -> int:
        """Wait until it ends, once its output has been read; give the exit status.

        Raises:
            AsrError: it was killed, which is no verdict on the recording.
            ServerStopping: it was asked to end, as supervisors ask all processes of a server that stops.
        """
        await self._listener
        status = await self._process.wait()
        if status == TOLD_TO_END:
            raise ServerStopping()
        if status < 0:
            raise AsrError(f"Decoding broke off: ffmpeg was ended by signal {-status}.")
        return status

    async def stop(self) -> None:
        """Kill it if it still runs, and leave nothing of it."""
        with suppress(ProcessLookupError):
            self._process.kill()
        while await self.stdout.read(1 << 16):
            pass  # a pipe with unread sound in it would stay open
        await self._listener
        await self._process.wait()

    def said(self, words: bytes) -> bool:
        """Whether its last messages hold these words."""
        return words in self._messages

    def complaint(self, path: Path) -> str:
        """Its last error message, without our names and addresses; empty if it had none."""
        text = self._messages.replace(os.fsencode(path.absolute()), b"").decode(errors="replace")
        lines = [re.sub(r"^(\[[^]]* @ 0x\w+] *)+|file:", "", line).strip(" :") for line in text.splitlines()]
        last = next(filter(None, reversed(lines)), "")
        return "".join(filter(str.isprintable, last))[:200]

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        while piece := await stderr.read(STDERR_TAIL):
            self._messages += piece
            del self._messages[:-STDERR_TAIL]


@asynccontextmanager
async def started(program: str, *arguments: str) -> AsyncIterator[Tool]:
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        # In a session of its own, since a terminal's Ctrl-C would look to it like the end of the recording.
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdin=nothing, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except (FileNotFoundError, PermissionError) as error:
        raise FfmpegMissing(f"{program} is not on PATH: install ffmpeg (Debian: apt-get install ffmpeg).") from error
    tool = Tool(process)
    try:
        _limit_memory(process.pid)
        yield tool
    finally:
        await asyncio.shield(asyncio.create_task(tool.stop()))  # a second cancellation does not interrupt it


def _limit_memory(pid: int) -> None:
    if sys.platform == "linux":
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
