"""WAV files that already hold what ffmpeg would make of them.

Voice assistants and dictation programs send these. Starting ffmpeg costs more than recognising three seconds of speech.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from asr_core.audio.downmix import WINDOW, Sound
from asr_core.types import INT16_SCALE, SAMPLE_RATE

SAMPLE_BYTES = 2
FORM = struct.pack("<HHIIHH", 1, 1, SAMPLE_RATE, SAMPLE_RATE * SAMPLE_BYTES, SAMPLE_BYTES, 8 * SAMPLE_BYTES)
"""Integer PCM, one channel, rate, bytes a second, bytes a frame, bits a sample."""
EDGE = 4096
"""Bytes in front of and behind the samples that are looked at; files with more there are for ffmpeg."""
UNKNOWN_BYTES = 2**31 - EDGE
"""Sizes from here on are written by programs that do not know how much will come."""


def plain_samples(path: Path) -> range | None:
    """Which bytes of the file are samples: 16 kHz, mono, int16. None for all else, and for whatever is odd in it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        samples = _samples(file.read(EDGE))
        if samples is None or samples.stop > size or size - samples.stop > EDGE:
            return None
        file.seek(samples.stop)
        more = b"data" in file.read()
    return None if more else samples


def announced_seconds(path: Path) -> float | None:
    """How long the header says that the sound is, which ffmpeg does not tell of files that are cut off."""
    with path.open("rb") as file:
        form, data = _form_and_data(file.read(EDGE))
    if len(form) < len(FORM) or not 0 < len(data) < UNKNOWN_BYTES:
        return None
    bytes_a_second: int = struct.unpack_from("<I", form, 8)[0]
    return len(data) / bytes_a_second if bytes_a_second else None


def _samples(head: bytes) -> range | None:
    form, data = _form_and_data(head)
    return data if form == FORM and len(data) > 0 and len(data) % SAMPLE_BYTES == 0 else None


def _form_and_data(head: bytes) -> tuple[bytes, range]:
    """What a header says of the samples, and which bytes they are by it; nothing of what is no wav."""
    at, form = 12, b""
    while head[:4] == b"RIFF" and head[8:12] == b"WAVE" and at + 8 <= len(head):
        name, size = struct.unpack_from("<4sI", head, at)
        at += 8
        if name == b"data":
            return form, range(at, at + size)
        if name == b"fmt ":
            form = head[at : at + size]
        at += size + size % 2
    return b"", range(0)


class WavSource:
    """The samples of such a file."""

    warnings: tuple[str, ...] = ()

    def __init__(self, file: BinaryIO, samples: range) -> None:
        self._file = file
        self._left = len(samples)
        file.seek(samples.start)

    async def read(self) -> Sound:
        """The next `WINDOW` samples, [S, 1]; fewer at the end."""
        data = self._file.read(min(self._left, WINDOW * SAMPLE_BYTES))
        self._left -= len(data)
        return np.frombuffer(data, "<i2").astype(np.float32).reshape(-1, 1) / np.float32(INT16_SCALE)
