"""Recordings of all kinds, made by ffmpeg, and what this project makes of them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from asr_core.audio.decode import Recording, decode, probe
from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.types import Pcm
from tests.audio.signals import SPEECH_FILE

DAY = 86_400.0


def ffmpeg(*arguments: str | Path) -> None:
    """Have it make something."""
    subprocess.run([find_ffmpeg(), "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True, timeout=60)


def recording(path: Path, **options: Any) -> tuple[Recording, list[Pcm]]:
    async def collect() -> tuple[Recording, list[Pcm]]:
        async with decode(path, **({"max_seconds": DAY} | options)) as blocks:
            return blocks, [block async for block in blocks]

    return asyncio.run(collect())


def decoded(path: Path, **options: Any) -> list[Pcm]:
    return recording(path, **options)[1]


def stamped(path: Path, times: str) -> None:
    """The sample in Opus packets of 20 ms, the time of packet N, in ms, being what the expression says."""
    plain = path.with_suffix(".plain.mka")
    ffmpeg("-i", SPEECH_FILE, "-c:a", "libopus", "-b:a", "24k", plain)
    ffmpeg("-i", plain, "-c", "copy", "-bsf:a", f"setts=ts='{times}'", path)


def probed(path: Path) -> float | None:
    return asyncio.run(probe(path))


FFMPEGS = {find_ffmpeg(), *filter(None, [shutil.which("ffmpeg")])}

each_ffmpeg = pytest.mark.parametrize("program", sorted(FFMPEGS), ids=lambda path: Path(path).name)
"""Versions differ in what they do to times, and in what they say."""


def likeness(one: Pcm, other: Pcm) -> float:
    """Correlation of their loudness over time, 0..1, whatever their level and the codec's delay."""
    a, b = _loudness(one), _loudness(other)
    return float(np.correlate(a, b, mode="full").max() / np.linalg.norm(a) / np.linalg.norm(b))


def _loudness(pcm: Pcm) -> NDArray[np.float64]:
    """Of each 20 ms, about its mean."""
    frames = np.abs(pcm[: len(pcm) // 320 * 320].astype(np.float64)).reshape(-1, 320)
    loudness: NDArray[np.float64] = frames.mean(axis=1) - frames.mean()
    return loudness
