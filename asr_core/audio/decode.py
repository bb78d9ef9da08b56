"""Any media file → blocks of 16 kHz mono samples, through ffprobe and ffmpeg from PATH unless it holds just these.

Recordings come from strangers. So no protocol but `file` is allowed, and no demuxer that opens anything but the file
it is given (playlists, image sequences, devices); threads and allocations are bounded, and so is the sound decoded.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from asr_core.audio.ffmpeg import Tool, input_options, started
from asr_core.audio.wav import SAMPLE_BYTES, plain_samples, read_blocks
from asr_core.errors import AudioTooLong, BadAudio
from asr_core.types import SAMPLE_RATE, Pcm

log = logging.getLogger(__name__)

BLOCK_SAMPLES = 10 * SAMPLE_RATE

FILTERS = f"aformat=s16:{SAMPLE_RATE}:mono,aresample=async=1:first_pts=0"
"""What we want, with silence where the recording's clock says that there is no sound; a gap then costs little."""

GUESSED = b"Estimating duration from bitrate"
"""ffprobe's warning that a header does not tell the length. The first frames may be silence, and the guess absurd."""
SPLICED = frozenset({"mpeg", "mpegts"})
"""Broadcast formats, whose clock may jump within a file: their length is not what lies between its ends."""

PROBED_FROM = 2**20
"""Bytes from which a header is first asked for the length: to start ffprobe takes as long as to decode less."""


async def probe(path: Path) -> float | None:
    """Read from its header how long a recording's first audio stream is, in seconds; None if it does not tell.

    Raises:
        BadAudio: the file is empty, not a recording, or has no sound.
        FfmpegMissing: there is no ffprobe.
    """
    _size_of(path)
    entries = ("-select_streams", "a:0", "-show_entries", "stream=codec_type,duration:format=format_name,duration")
    async with started("ffprobe", "-v", "warning", *input_options(path), *entries, "-of", "json") as tool:
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
        ServerStopping: ffmpeg was asked to end.
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
    async with started("ffmpeg", *before, *input_options(path), *after) as tool:
        yield _Blocks(tool, path, block_samples, max_seconds)


class _Blocks(AsyncIterator[Pcm]):
    """What ffmpeg writes, in blocks."""

    def __init__(self, tool: Tool, path: Path, block_samples: int, max_seconds: float) -> None:
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
            log.warning("damaged recording, %.1f s of it decoded: %s", self._n_samples / SAMPLE_RATE, complaint)


def _size_of(path: Path) -> int:
    """Bytes; BadAudio if there are none."""
    size = path.stat().st_size
    if size == 0:
        raise BadAudio("The file is empty.")
    return size


def _duration(stream: dict[str, Any], container: dict[str, Any]) -> float | None:
    try:
        seconds = float(stream.get("duration") or container["duration"])
    except (KeyError, ValueError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _too_long(max_seconds: float) -> AudioTooLong:
    return AudioTooLong(f"The recording is longer than {max_seconds:g} seconds, which is the most this server accepts.")
