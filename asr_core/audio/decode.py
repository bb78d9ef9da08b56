"""Any media file → blocks of 16 kHz mono samples, through ffmpeg unless it holds just these.

Recordings come from strangers. So no protocol but `file` is allowed, and no demuxer that opens anything but the file
it is given; threads, allocations and patience are bounded, and so is the sound decoded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from asr_core.audio.crosstalk import Crosstalk
from asr_core.audio.downmix import WINDOW, Downmixer, Sound
from asr_core.audio.ffmpeg import PATIENCE_S, Tool, find_ffmpeg, input_options, started
from asr_core.audio.guess import seems_mono
from asr_core.audio.header import Header, Track
from asr_core.audio.joined import heard_whole
from asr_core.audio.length import Packets
from asr_core.audio.sides import Sides
from asr_core.audio.source import MIXED, ONE, FfmpegSource, Handover, all_mixed, apart, decoding
from asr_core.audio.tracks import listening_order
from asr_core.audio.wav import SAMPLE_BYTES, WavSource, plain_samples
from asr_core.errors import AudioTooLong, BadAudio
from asr_core.types import SAMPLE_RATE, ChannelMode, Pcm

log = logging.getLogger(__name__)

COUNTED_AFTER = 600 * SAMPLE_RATE
"""Samples after which a recording whose header tells no length is counted: it may have hours in kilobytes."""

UNTIMED = frozenset({".mp3", ".wav"})
"""How files are called whose format has no clock, most likely."""


MAX_CHANNELS = 8
"""More of them are mixed, whatever was asked for."""

MOST_CHANNELS = 64
"""As many as ffmpeg has places for; a header may say more."""


class Source(Protocol):
    @property
    def warnings(self) -> Sequence[str]: ...

    async def read(self) -> Sound:
        """The next `WINDOW` samples; fewer at the end."""


class Recording(AsyncIterator[Pcm]):
    """A recording's sound, in blocks: [S], or [C, S] where each channel is heard by itself."""

    def __init__(
        self,
        source: Source,
        max_seconds: float,
        audio_track: int | None = None,
        is_too_long: Callable[[], Awaitable[bool]] | None = None,
        n_apart: int = 0,
    ) -> None:
        """`n_apart` channels are heard by themselves; 0: they are mixed."""
        self.audio_track = audio_track
        """Which of several sound tracks it is, counted from 0; None if there is only this one."""
        self._source = source
        self._max_seconds = max_seconds
        self._is_too_long = is_too_long
        self._levellers = [Downmixer() for _ in range(n_apart or 1)]
        self._crosstalk = Crosstalk() if n_apart else None
        self._n_samples = 0
        self._ended = False

    @property
    def warnings(self) -> Sequence[str]:
        """What the recording lacks, in sentences; complete after the last block."""
        return self._source.warnings

    async def __anext__(self) -> Pcm:
        if self._ended:
            raise StopAsyncIteration
        sound = await self._source.read()
        self._ended = len(sound) < WINDOW
        if not len(sound):
            raise StopAsyncIteration
        self._n_samples += len(sound)
        if self._n_samples > self._max_seconds * SAMPLE_RATE or await self._proves_too_long():
            raise too_long(self._max_seconds)
        if self._crosstalk is None:
            return self._levellers[0].push(sound)
        sound = self._crosstalk.push(sound)
        return np.stack([leveller.push(sound[:, [n]]) for n, leveller in enumerate(self._levellers)])

    async def _proves_too_long(self) -> bool:
        if self._is_too_long is None or self._n_samples < COUNTED_AFTER:
            return False
        counting, self._is_too_long = self._is_too_long(), None
        return await counting


async def probe(path: Path, ffmpeg: str = "") -> float | None:
    """Read from its header how long a recording is, in seconds; None if it does not tell.

    Raises:
        BadAudio: the file is empty, not a recording, or has no sound.
        FfmpegMissing: there is no ffmpeg.
    """
    _require_content(path)
    async with started(find_ffmpeg(ffmpeg), *input_options(path), patience_s=PATIENCE_S) as tool:
        header = await tool.header()
        if not header.tracks:
            raise await _no_recording(tool, path)
        return header.claimed_s


@asynccontextmanager
async def decode(  # noqa: PLR0913 - what a recording is decoded with
    path: Path,
    *,
    max_seconds: float,
    audio_track: int | None = None,
    channels: ChannelMode = "mix",
    ffmpeg: str = "",
    patience_s: float = PATIENCE_S,
) -> AsyncIterator[Recording]:
    """Decode a recording within a scope: `async with decode(...) as blocks: async for block in blocks: ...`.

    Blocks are int16 arrays of `levels.WINDOW` samples, the last one shorter but never empty. `audio_track`, from 0, is
    the sound track to hear; None leaves the choice. Of a recording of several `channels` that are not to be mixed,
    blocks are [C, S]. `ffmpeg` is as in `find_ffmpeg`, and may take `patience_s` for
    each piece of its output. It decodes no further ahead than pipes and buffers hold, and is killed and reaped when
    the scope is left, however it is left; whichever task iterates must have ended by then. What is damaged or
    broken off gives the sound that it still has, and a warning.

    Raises:
        BadAudio: as `probe`, or nothing could be decoded; before the first block.
        BadRequest: there is no such track; before the first block.
        AudioTooLong: there are more than `max_seconds` in it: before the first block where the header says so and the
            file is not too small for it, else when decoding gets there.
        FfmpegMissing: there is no ffmpeg.
        DecoderFailed: ffmpeg was killed, hung, or was refused what it needs.
        ServerStopping: ffmpeg was asked to end.
    """
    _require_content(path)
    async with AsyncExitStack() as scope:
        if not audio_track and (samples := plain_samples(path)):
            if len(samples) > max_seconds * SAMPLE_RATE * SAMPLE_BYTES:
                raise too_long(max_seconds)
            yield Recording(WavSource(scope.enter_context(path.open("rb")), samples), max_seconds)
        else:
            path = await asyncio.to_thread(scope.enter_context, heard_whole(path))
            decoder = _Decoder(path, find_ffmpeg(ffmpeg), max_seconds, patience_s, channels)
            yield await decoder.open(scope, audio_track)


@dataclass(frozen=True, slots=True)
class _Decoder:
    """What it takes to decode `path`."""

    path: Path
    program: str
    max_seconds: float
    patience_s: float
    channels: ChannelMode

    async def open(self, scope: AsyncExitStack, wanted: int | None) -> Recording:
        """Start ffmpeg, in the hope that the recording has one track, as it seems to be; again if it has not."""
        guess, timed = wanted or 0, self.path.suffix.lower() not in UNTIMED
        handover = ONE if await asyncio.to_thread(seems_mono, self.path) else MIXED
        tool = await scope.enter_async_context(self._started(guess, handover, timed=timed))
        header = await tool.header()
        if not header.tracks:
            raise await _no_recording(tool, self.path)
        order = listening_order(header.tracks, wanted)

        async def is_too_long() -> bool:
            packets = Packets(self.program, self.path, order[0], self.patience_s)
            return await packets.last_longer_than(self.max_seconds, header.format_name)

        claimed = header.claimed_s
        if claimed and claimed > self.max_seconds and await is_too_long():
            raise too_long(self.max_seconds)
        if order == [guess] and handover == _mixed(header.tracks[guess]) and (timed or not header.timed):
            source, track = FfmpegSource(tool, self.path, handover, max_seconds=self.max_seconds), guess
        else:
            await tool.stop()
            source, track = await self._first_audible(scope, header, order)
        if n_apart := await self._channels_apart(track, header):
            await source.close()
            source = await self._source(scope, track, apart(n_apart), header)
        several = len(header.tracks) > 1
        counted = None if claimed else is_too_long
        return Recording(source, self.max_seconds, track if several else None, counted, n_apart)

    async def _channels_apart(self, track: int, header: Header) -> int:
        """How many channels are to be heard by themselves; 0 where they are to be mixed."""
        n_channels = header.tracks[track].channels
        if self.channels == "split":
            return n_channels if 1 < n_channels <= MAX_CHANNELS else 0
        if self.channels == "mix" or n_channels != 2:
            return 0
        async with AsyncExitStack() as attempt:
            source, sides = await self._source(attempt, track, apart(2), header), Sides()
            while not sides.heard_enough and len(window := await source.read()):
                sides.push(window)
            return 2 if sides.are_two else 0

    async def _first_audible(
        self, scope: AsyncExitStack, header: Header, order: Sequence[int]
    ) -> tuple[FfmpegSource, int]:
        """The first track that can be decoded and is not silent; the first that can be decoded, if all are."""
        silent: list[int] = []
        for track in order if len(order) > 1 else ():
            async with AsyncExitStack() as attempt:
                source = await self._source(attempt, track, _mixed(header.tracks[track]), header)
                try:
                    if await source.find_sound():
                        scope.push_async_callback(attempt.pop_all().aclose)
                        return source, track
                    silent.append(track)
                except BadAudio as error:
                    log.info("sound track %d is passed over: %s", track, error)
        track = (silent or order)[0]
        return await self._source(scope, track, _mixed(header.tracks[track]), header), track

    async def _source(self, scope: AsyncExitStack, track: int, handover: Handover, header: Header) -> FfmpegSource:
        tool = await scope.enter_async_context(self._started(track, handover, timed=header.timed))
        await tool.header()
        return FfmpegSource(tool, self.path, handover, max_seconds=self.max_seconds)

    def _started(self, track: int, handover: Handover, *, timed: bool) -> AbstractAsyncContextManager[Tool]:
        arguments = decoding(self.path, track, handover, timed=timed)
        return started(self.program, *arguments, patience_s=self.patience_s)


def _mixed(track: Track) -> Handover:
    if MAX_CHANNELS < track.channels <= MOST_CHANNELS:
        return all_mixed(track.channels)
    return ONE if track.mono else MIXED


async def _no_recording(tool: Tool, path: Path) -> BadAudio:
    """What is wrong with a file in which ffmpeg finds no sound."""
    await tool.wait()
    if tool.said.format_name:
        return BadAudio("The file has no audio stream.")
    return BadAudio(f"The file is not a recording that can be decoded: {tool.said.complaint(path)}")


def _require_content(path: Path) -> None:
    if path.stat().st_size == 0:
        raise BadAudio("The file is empty.")


def too_long(max_seconds: float) -> AudioTooLong:
    return AudioTooLong(f"The recording is longer than {max_seconds:g} seconds, which is the most this server accepts.")
