"""How many channels a recording seems to have, by a look at its ends.

ffmpeg tells it for sure, but has to be started for that, and started again if its filters were for another number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from asr_core.audio.tags import end_of_tag

EDGE = 1 << 16
"""Bytes at either end that are looked at: the index of minutes of sound in mp4, which may come last, has no more."""

SINGLE = 3
"""The mode that mp3 calls one channel by."""

_SIGNS: tuple[tuple[re.Pattern[bytes], Callable[[int], bool]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), is_mono)
    for pattern, is_mono in (
        (rb"\ARIFF.{4}WAVE.{0,512}?fmt .{6}(.)", lambda channels: channels == 1),
        (rb"\AfLaC.{16}(.)", lambda packed: not packed & 0b1110),
        (rb"\A\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff].(.)", lambda packed: packed >> 6 == SINGLE),
        (rb"\A\xff[\xf0\xf1\xf8\xf9].(.)", lambda packed: packed >> 6 == 1),
        (rb"OpusHead.(.)", lambda channels: channels == 1),
        (rb"\x01vorbis.{4}(.)", lambda channels: channels == 1),
        (rb"mp4a.{16}\0(.)", lambda channels: channels == 1),
    )
)
"""What a format says it in, and what the byte means: wav, FLAC, mp3, AAC, Opus, Vorbis, mp4."""


def seems_mono(path: Path) -> bool:
    """Whether a recording has one channel, most likely; so also where nothing is known of it."""
    with path.open("rb") as file:
        begin = end_of_tag(file.read(EDGE))
        file.seek(begin)
        edges = file.read(EDGE)
        file.seek(max(file.tell(), path.stat().st_size - EDGE))
        edges += file.read()
    for sign, is_mono in _SIGNS:
        if match := sign.search(edges):
            return is_mono(match[1][0])
    return True
