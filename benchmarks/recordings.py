"""Recordings of any length, made of the bundled one."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.cli import sample

MUSIC_QUALITY = ("-ar", "44100", "-ac", "2", "-b:a", "128k")
"""What a podcast comes in."""
SPEECH_QUALITY = ("-ar", "16000", "-ac", "1", "-b:a", "16k")
"""10 h of it are 72 MB."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A file and its length, s."""

    path: Path
    seconds: float


def mp3(folder: Path, seconds: float, quality: tuple[str, ...] = MUSIC_QUALITY) -> Recording:
    """The bundled recording as mp3, over and over: encoded once, then only copied."""
    once, path = folder / "once.mp3", folder / f"{seconds:g}s.mp3"
    _ffmpeg("-i", str(sample.RECORDING), *quality, str(once))
    _ffmpeg("-stream_loop", "-1", "-i", str(once), "-t", f"{seconds:g}", "-c", "copy", str(path))
    return Recording(path, seconds)


def wav(folder: Path, seconds: float) -> Recording:
    """The same as plain 16 kHz samples: what dictation programs and voice assistants send."""
    path = folder / f"{seconds:g}s.wav"
    _ffmpeg("-stream_loop", "-1", "-i", str(sample.RECORDING), "-t", f"{seconds:g}", "-c", "copy", str(path))
    return Recording(path, seconds)


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([find_ffmpeg(), "-y", "-v", "error", *arguments], check=True, stdin=subprocess.DEVNULL, timeout=300)
