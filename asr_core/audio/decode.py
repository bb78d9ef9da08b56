"""Any media file → blocks of 16 kHz mono samples, through ffprobe and ffmpeg from PATH unless it holds just these.

Recordings come from strangers. So no protocol but `file` is allowed, and no demuxer that opens anything but the file
it is given (playlists, image sequences, devices); threads and allocations are bounded, and so is the sound decoded.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import re
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from asr_core.audio.wav import SAMPLE_BYTES, plain_samples, read_blocks
from asr_core.errors import AsrError, AudioTooLong, BadAudio, FfmpegMissing, ModelNotReady
from asr_core.types import SAMPLE_RATE, Pcm

logger = logging.getLogger(__name__)

BLOCK_SAMPLES = 10 * SAMPLE_RATE

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

FILTERS = f"aformat=s16:{SAMPLE_RATE}:mono,aresample=async=1:first_pts=0"
"""What we want, with silence where the recording's clock says that there is no sound; a gap then costs little."""

GUESSED = b"Estimating duration from bitrate"
"""ffprobe's warning that a header does not tell the length. The first frames may be silence, and the guess absurd."""
SPLICED = frozenset({"mpeg", "mpegts"})
"""Broadcast formats, whose clock may jump within a file: their length is not what lies between its ends."""

PROBED_FROM = 2**20
"""Bytes from which a header is first asked for the length: to start ffprobe takes as long as to decode less."""

TOLD_TO_END = 255
"""ffmpeg's exit status after SIGTERM: it ends in good order then, as if the recording had ended there."""

STDERR_TAIL = 4096
"""Bytes of ffmpeg's messages that are kept: the last ones say why it stopped."""


async def probe(path: Path) -> float | None:
    """Read from its header how long a recording's first audio stream is, in seconds; None if it does not tell.

    Raises:
        BadAudio: the file is empty, not a recording, or has no sound.
        FfmpegMissing: there is no ffprobe.
    """
    _size_of(path)
    entries = ("-select_streams", "a:0", "-show_entries", "stream=codec_type,duration:format=format_name,duration")
    async with _started("ffprobe", "-v", "warning", *_input_options(path), *entries, "-of", "json") as tool:
        report = await tool.stdout.read()
        if await tool.wait() != 0:
            raise BadAudio(f"The file is not a recording that can be decoded: {tool.complaint(path)}")
    found = json.loads(report)
    if not found.get("streams"):
        raise BadAudio("The file has no audio stream.")
    if tool.said(GUESSED) or found["format"].get("format_name") in SPLICED:
        return None
    return _duration(found["streams"][0], found["format"])


@asynccontextmanager
async def decode(
    path: Path, *, block_samples: int = BLOCK_SAMPLES, max_seconds: float
) -> AsyncIterator[AsyncIterator[Pcm]]:
    """Decode a recording within a scope: `async with decode(...) as blocks: async for block in blocks: ...`.

    Blocks are read-only int16 arrays of `block_samples`, the last one shorter but never empty. ffmpeg decodes no
    further ahead than a pipe and a buffer hold, and is killed and reaped when the scope is left, however it is left;
    the task that holds the scope is the one to iterate. What is damaged or broken off gives the sound that it still
    has, and a warning in the log.

    Raises:
        BadAudio: as `probe`, or nothing could be decoded; before the first block.
        AudioTooLong: it is longer than `max_seconds`; by a large file's header at once, else when decoding gets there.
        FfmpegMissing: there is no ffmpeg or ffprobe.
        AsrError: ffmpeg was killed.
        ModelNotReady: ffmpeg was asked to end.
    """
    size = _size_of(path)
    if samples := plain_samples(path):
        if len(samples) > max_seconds * SAMPLE_RATE * SAMPLE_BYTES:
            raise _too_long(max_seconds)
        async with aclosing(read_blocks(path, samples, block_samples)) as blocks:
            yield blocks
        return
    if size >= PROBED_FROM:
        duration = await probe(path)
        if duration is not None and duration > max_seconds:
            raise _too_long(max_seconds)
    before = ("-v", "error", "-nostdin", "-vn", "-sn", "-dn")
    after = ("-filter_threads", "1", "-map", "0:a:0", "-af", FILTERS, "-f", "s16le", "pipe:1")
    async with _started("ffmpeg", *before, *_input_options(path), *after) as tool:
        yield _Blocks(tool, path, block_samples, max_seconds)


class _Tool:
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
            ModelNotReady: it was asked to end, as supervisors ask all processes of a server that stops.
        """
        await self._listener
        status = await self._process.wait()
        if status == TOLD_TO_END:
            raise ModelNotReady("The server is stopping.")
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
async def _started(program: str, *arguments: str) -> AsyncIterator[_Tool]:
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        # In a session of its own, since a terminal's Ctrl-C would look to it like the end of the recording.
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdin=nothing, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except (FileNotFoundError, PermissionError) as error:
        raise FfmpegMissing(f"{program} is not on PATH: install ffmpeg (Debian: apt-get install ffmpeg).") from error
    tool = _Tool(process)
    try:
        _limit_memory(process.pid)
        yield tool
    finally:
        await asyncio.shield(asyncio.create_task(tool.stop()))  # a second cancellation does not interrupt it


def _limit_memory(pid: int) -> None:
    if sys.platform == "linux":
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


class _Blocks(AsyncIterator[Pcm]):
    """What ffmpeg writes, in blocks."""

    def __init__(self, tool: _Tool, path: Path, block_samples: int, max_seconds: float) -> None:
        self._tool = tool
        self._path = path
        self._block_samples = block_samples
        self._max_seconds = max_seconds
        self._n_samples = 0
        self._ended = False

    async def __anext__(self) -> Pcm:
        if self._ended:
            raise StopAsyncIteration
        block = np.frombuffer(await self._read(), dtype="<i2")
        self._n_samples += len(block)
        if self._n_samples > self._max_seconds * SAMPLE_RATE:
            raise _too_long(self._max_seconds)
        if self._ended:
            await self._judge_end()
        if not len(block):
            raise StopAsyncIteration
        return block

    async def _read(self) -> bytes:
        try:
            return await self._tool.stdout.readexactly(self._block_samples * SAMPLE_BYTES)
        except asyncio.IncompleteReadError as rest:
            self._ended = True
            return rest.partial[: len(rest.partial) // SAMPLE_BYTES * SAMPLE_BYTES]

    async def _judge_end(self) -> None:
        await self._tool.wait()
        complaint = self._tool.complaint(self._path)
        if not self._n_samples:
            await probe(self._path)  # knows better what is wrong, if it finds anything
            raise BadAudio(f"The recording cannot be decoded: {complaint or 'there is no sound in it'}")
        if complaint:
            logger.warning("damaged recording, %.1f s of it decoded: %s", self._n_samples / SAMPLE_RATE, complaint)


def _size_of(path: Path) -> int:
    """Bytes; BadAudio if there are none."""
    size = path.stat().st_size
    if size == 0:
        raise BadAudio("The file is empty.")
    return size


def _input_options(path: Path) -> tuple[str, ...]:
    """Read `path` and nothing else; behind `file:`, an absolute path is neither an option nor a protocol."""
    return (
        *("-hide_banner", "-max_alloc", str(MAX_ALLOCATION), "-threads", "1"),
        *("-protocol_whitelist", "file", "-format_whitelist", DEMUXERS),
        *("-i", f"file:{path.absolute()}"),
    )


def _duration(stream: dict[str, Any], container: dict[str, Any]) -> float | None:
    try:
        seconds = float(stream.get("duration") or container["duration"])
    except (KeyError, ValueError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _too_long(max_seconds: float) -> AudioTooLong:
    return AudioTooLong(f"The recording is longer than {max_seconds:g} seconds, which is the most this server accepts.")
