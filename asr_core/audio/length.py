"""How long a recording is at least, by what is in the file and without decoding it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from asr_core.audio.ffmpeg import input_options, started

CPU_S = 3
"""Seconds of a CPU that counting may take; a file whose packets are not counted by then has to be decoded."""


async def is_longer(program: str, path: Path, track: int, seconds: float, patience_s: float) -> bool:
    """Whether the track's packets last longer than `seconds` together, whatever their times are. Raises as `started`.

    A header may claim any length, and a file of kilobytes may hold hours of silence: this tells which it is.
    """
    listing = ("-map", f"0:a:{track}", "-c", "copy", "-f", "framecrc", "pipe:1")
    async with started(program, *input_options(path), *listing, patience_s=patience_s, cpu_s=CPU_S) as tool:
        unit, counted, rest = Fraction(0), 0, b""
        while piece := await tool.read():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if line.startswith(b"#tb 0:"):
                    unit = Fraction(line.removeprefix(b"#tb 0:").decode().strip())
                elif not line.startswith(b"#"):
                    counted += int(line.split(b",")[3])
            if counted * unit > seconds:
                return True
    return False
