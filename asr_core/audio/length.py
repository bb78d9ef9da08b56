"""Whether a recording is as long as its header says, by what is in the file and without decoding it.

A header may claim any length, and a file of kilobytes may hold hours of silence: this tells which it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from asr_core.audio.ffmpeg import input_options, started

CPU_S = 5
"""Seconds of a CPU that this may take; a file whose packets are not counted by then has to be decoded."""

COUNTED = frozenset({"aiff", "au", "caf", "flac", "w64", "wav"})
"""Formats without a clock: their packets' times are counted from the samples in front of them."""

NEAR_S = 60.0
"""How far before the wanted time seeking may end."""

LISTED = ("-c", "copy", "-f", "framecrc", "pipe:1")
"""A line for each packet."""


@dataclass(frozen=True, slots=True)
class Packets:
    """One sound track of a file, as ffmpeg's `program` splits it up without decoding it."""

    program: str
    path: Path
    track: int
    patience_s: float

    async def last_longer_than(self, seconds: float, format_name: str) -> bool:
        """Whether there is more than `seconds` of it, whatever its clock says. Raises as `started`."""
        if not await self._reach(seconds):
            return False
        return format_name in COUNTED or await self._add_up_to(seconds)

    async def _reach(self, seconds: float) -> bool:
        """Whether there is a packet at that time; where seeking fails, one of an earlier time comes."""
        async with aclosing(self._listed("-ss", f"{seconds:f}")) as packets:
            async for time_s, _ in packets:
                if time_s >= 0 or time_s < -NEAR_S:
                    return time_s >= 0
        return False

    async def _add_up_to(self, seconds: float) -> bool:
        total = 0.0
        async with aclosing(self._listed()) as packets:
            async for _, duration_s in packets:
                total += duration_s
                if total > seconds:
                    return True
        return False

    async def _listed(self, *before: str) -> AsyncGenerator[tuple[float, float], None]:
        """Each packet's time and duration, s."""
        arguments = (*before, *input_options(self.path), "-map", f"0:a:{self.track}", *LISTED)
        async with started(self.program, *arguments, patience_s=self.patience_s, cpu_s=CPU_S) as tool:
            unit, rest = 0.0, b""
            while piece := await tool.read():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    if line.startswith(b"#tb 0:"):
                        unit = float(Fraction(line.removeprefix(b"#tb 0:").decode().strip()))
                    elif not line.startswith(b"#"):
                        _, _, time, duration, *_ = line.split(b",")
                        yield int(time) * unit, int(duration) * unit
            await tool.ended()
