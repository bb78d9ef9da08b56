"""How many channels a recording seems to have, and that ffmpeg is started once where that is right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr_core.audio import decode
from asr_core.audio.ffmpeg import Tool, started
from asr_core.audio.guess import seems_mono
from tests.audio.recordings import decoded, ffmpeg, likeness
from tests.audio.signals import SPEECH_FILE, speech

KINDS = {
    "voice.mp3": [],
    "low.mp3": ["-ar", "22050"],
    "lowest.mp3": ["-ar", "11025"],
    "tagged.mp3": ["-metadata", f"comment={'x' * 100_000}"],
    "untagged.mp3": ["-id3v2_version", "0", "-write_xing", "0"],
    "studio.wav": ["-ar", "44100"],
    "voice.flac": ["-ar", "44100"],
    "radio.aac": [],
    "note.ogg": ["-c:a", "libopus"],
    "song.ogg": ["-c:a", "libvorbis"],
    "browser.webm": ["-c:a", "libopus"],
    "memo.m4a": [],
    "index-in-front.m4a": ["-movflags", "faststart"],
}


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The program, once for each time that it is started."""
    programs: list[str] = []

    def counted(program: str, *arguments: str, **limits: Any) -> AbstractAsyncContextManager[Tool]:
        programs.append(program)
        return started(program, *arguments, **limits)

    monkeypatch.setattr(decode, "started", counted)
    yield programs


@pytest.mark.parametrize("name", KINDS)
def test_the_guess_is_right_for_recordings_of_common_kinds(name: str, tmp_path: Path) -> None:
    for channels in (1, 2):
        ffmpeg(
            "-i", SPEECH_FILE, "-t", "1", "-ac", str(channels), *KINDS[name], path := tmp_path / f"{channels}-{name}"
        )
        assert seems_mono(path) == (channels == 1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", ["voice.mp3", "studio.wav", "memo.m4a"])
def test_a_recording_whose_channels_were_guessed_is_decoded_by_the_first_ffmpeg_that_is_started(
    name: str, channels: int, tmp_path: Path, starts: list[str]
) -> None:
    ffmpeg("-i", SPEECH_FILE, "-ac", str(channels), *KINDS[name], tmp_path / name)
    assert likeness(np.concatenate(decoded(tmp_path / name)), speech()) > 0.9
    assert len(starts) == 1


@pytest.mark.parametrize("name", ["voice.mp3", "studio.wav", "memo.m4a"])
def test_a_wrong_guess_costs_a_start_and_nothing_else(
    name: str, tmp_path: Path, starts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for channels in (1, 2):
        path = tmp_path / f"{channels}-{name}"
        ffmpeg("-i", SPEECH_FILE, "-ac", str(channels), "-ar", "44100", path)
        right = np.concatenate(decoded(path))
        with monkeypatch.context() as patch:
            patch.setattr(decode, "seems_mono", lambda path: not seems_mono(path))
            wrong = np.concatenate(decoded(path))
        np.testing.assert_array_equal(wrong, right)
    assert len(starts) == 2 + 4


@pytest.mark.parametrize(
    "content", [b"", b"R", b"RIFF\0\0\0\0WAVEfmt ", b"fLaC", b"OpusHead", b"ID3\3\0\0\x7f\x7f\x7f\x7f", b"\xff" * 99]
)
def test_of_what_tells_nothing_one_channel_is_expected(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_bytes(content)
    assert seems_mono(path)
