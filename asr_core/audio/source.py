"""What ffmpeg decodes of one sound track, in windows, with silence where the recording's clock wants it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_core.audio.downmix import WINDOW, Sound
from asr_core.audio.ffmpeg import Tool, input_options
from asr_core.audio.matroska import MatroskaReader
from asr_core.audio.tags import errors_of_tags
from asr_core.audio.timeline import Timeline
from asr_core.audio.wav import announced_seconds
from asr_core.errors import BadAudio
from asr_core.types import SAMPLE_RATE

log = logging.getLogger(__name__)

LONGEST_JUMP_S = 10.0
"""Seconds by which a broadcast's clock may jump for it to be a hole: by more, and something else was spliced on."""

CLOCK_OFFSET_S = 10
"""Added to all times, since Matroska has none below zero, which sound before the beginning would have."""

AUDIBLE = 1e-4
"""Magnitude (-80 dBFS) that a sample of a track that is not silent reaches."""

SHORT_S, SHORT_SHARE = 1.0, 0.05
"""A recording ends early if it lacks more than so many seconds, and this share, of what its header tells."""

TAGGED = frozenset({"aac", "mp3"})
"""Formats of bare frames, in which tags may lie anywhere."""

_MIXED = "rematrix_maxval=1"  # as int16 always is; floats would not stay below full scale
MONO = f"aresample={SAMPLE_RATE}:ochl=mono:{_MIXED},aformat=s16p|fltp,aformat=flt"
"""One channel. What is int16 at 16 kHz is mixed as that, as ffmpeg does by itself."""

STEREO = f"aresample=ochl=stereo:osf=fltp:{_MIXED},pan=stereo|c0=.5*c0+.5*c1|c1=.5*c0-.5*c1,aformat=flt:{SAMPLE_RATE}"
"""Of several channels the mixture and the difference, as `levels.Sound` has them."""

IN_SECONDS = ("-bsf:a", f"pcm_rechunk=n={SAMPLE_RATE}:pad=0")
"""A block for each second: codecs have forty frames in one, and a block costs us as much as the sound in it. What its
frames say of holes between them is lost. A filter that did this would lose sound where channels or rate change."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What ffmpeg is to hand over of a track: `filters` make `channels` of its channels."""

    filters: str
    channels: int


ONE = Handover(MONO, 1)
MIXED = Handover(STEREO, 2)


def apart(channels: int) -> Handover:
    """Each of so many channels by itself."""
    if channels == 2:
        return Handover(f"aresample={SAMPLE_RATE}:ochl=stereo:osf=flt,aformat=flt", channels)
    same = "|".join(f"c{n}=c{n}" for n in range(channels))
    return Handover(f"aresample={SAMPLE_RATE}:osf=flt,pan={channels}c|{same},aformat=flt", channels)


def all_mixed(channels: int) -> Handover:
    """The mean of so many channels, for which ffmpeg has no way to mix them."""
    mean = "+".join(f"{1 / channels:.6f}*c{n}" for n in range(channels))
    return Handover(f"aresample={SAMPLE_RATE}:osf=fltp,pan=mono|c0={mean},aformat=flt", 1)


def decoding(path: Path, track: int, handover: Handover, *, timed: bool) -> tuple[str, ...]:
    """ffmpeg's arguments to decode one track into a pipe; `timed` if each of its frames is wanted with its time."""
    return (
        *("-copyts", "-itsoffset", str(CLOCK_OFFSET_S), *input_options(path), "-filter_threads", "1"),
        *("-map", f"0:a:{track}", "-af", handover.filters, "-c:a", "pcm_f32le"),
        *(() if timed else IN_SECONDS),
        *("-f", "matroska", "pipe:1"),
    )


class FfmpegSource:
    """The sound that `tool`, started with `decoding`, hands over; its header has been read."""

    def __init__(self, tool: Tool, path: Path, handover: Handover, *, max_seconds: float) -> None:
        header = tool.said
        self.warnings: list[str] = []
        """What the recording lacks, in sentences; complete once it has been read to its end."""
        self._tool = tool
        self._path = path
        self._channels = handover.channels
        self._max_samples = round(max_seconds * SAMPLE_RATE)
        self._origin_ms = round(1000 * (CLOCK_OFFSET_S + max(header.start_s, 0.0)))
        longest_hole = LONGEST_JUMP_S if header.spliced else max_seconds if header.has_clock else 0.0
        self._timeline = Timeline(round(longest_hole * SAMPLE_RATE), self._max_samples)
        self._reader = MatroskaReader()
        self._parts: deque[Sound | int] = deque()  # sound, or samples of silence
        self._ready = 0  # samples in them
        self._has_begun = self._ended = False

    async def read(self) -> Sound:
        """The next `WINDOW` samples; fewer at the end.

        Raises BadAudio where nothing could be decoded, and what `Tool.wait` does.
        """
        while self._ready < WINDOW and not self._ended:
            if piece := await self._tool.read():
                self._take_in(piece)
            else:
                self._ended = True
                await self._judge_end()
        if not self._has_begun and not self._ended:
            self._tool.let_run_on()  # what is decoded from here on, nobody waits for yet
        self._has_begun = True
        return self._hand_out(min(self._ready, WINDOW))

    async def close(self) -> None:
        """What has not been read is not wanted any more."""
        await self._tool.stop()

    async def find_sound(self) -> bool:
        """Whether anything can be heard; what was read to find out is still to be read, unless nothing can."""
        silent = 0
        while silent <= self._max_samples and len(window := await self.read()):
            if np.abs(window).max() > AUDIBLE:
                self._parts.extendleft((window, silent))
                self._ready += silent + len(window)
                return True
            silent += len(window)
        return False

    def _take_in(self, piece: bytes) -> None:
        for time_ms, data in self._reader.push(piece):
            sound = np.frombuffer(data, "<f4").reshape(-1, self._channels)
            stamp = (time_ms - self._origin_ms) * SAMPLE_RATE // 1000
            silence = self._timeline.silence_before(stamp, len(sound))
            self._parts.extend((silence, sound) if silence else (sound,))
            self._ready += silence + len(sound)

    def _hand_out(self, n_samples: int) -> Sound:
        window = np.zeros((n_samples, self._channels), np.float32)
        at = 0
        while at < n_samples:
            part = self._parts.popleft()
            if isinstance(part, int):
                taken = min(part, n_samples - at)
                rest: Sound | int = part - taken
            else:
                taken = min(len(part), n_samples - at)
                window[at : at + taken] = part[:taken]
                rest = part[taken:]
            if rest if isinstance(rest, int) else len(rest):
                self._parts.appendleft(rest)
            at += taken
        self._ready -= n_samples
        return window

    async def _judge_end(self) -> None:
        status = await self._tool.wait()
        complaint = "" if await self._complains_of_tags() else self._tool.said.complaint(self._path)
        seconds = self._timeline.position / SAMPLE_RATE
        if not seconds:
            raise BadAudio(f"The recording cannot be decoded: {complaint or 'there is no sound in it'}")
        if complaint or status:
            why = complaint or f"ffmpeg's status is {status}"
            self.warnings.append(f"The recording is damaged: {seconds:.1f} s of it could be decoded ({why}).")
        elif (claimed := self._believable_claim()) and claimed - seconds > max(SHORT_S, SHORT_SHARE * claimed):
            self.warnings.append(f"The recording ends early: it says it has {claimed:.1f} s, and has {seconds:.1f} s.")
        for warning in self.warnings:
            log.warning("%s", warning)
        self._log_clock()

    async def _complains_of_tags(self) -> bool:
        """Whether all that could not be decoded may be tags between pieces that were joined."""
        said = self._tool.said
        if not said.n_errors or said.format_name not in TAGGED:
            return False
        return said.n_errors <= await asyncio.to_thread(errors_of_tags, self._path)

    def _believable_claim(self) -> float | None:
        """The length by the header, if that is the sound's and could be true."""
        header = self._tool.said
        claimed = header.claimed_s if header.only_sound and not self._timeline.disbelieved else None
        if header.format_name == "wav":
            claimed = announced_seconds(self._path)
        return claimed if claimed and claimed * SAMPLE_RATE <= self._max_samples else None

    def _log_clock(self) -> None:
        behind, ahead = self._timeline.behind / SAMPLE_RATE, self._timeline.disbelieved / SAMPLE_RATE
        if behind > 1 or ahead > 1:
            log.warning("the recording's clock is wrong, by -%.1f s and +%.1f s; its sound was kept", behind, ahead)
