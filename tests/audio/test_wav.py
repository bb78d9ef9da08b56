"""WAV read without ffmpeg must be what ffmpeg would have read; whatever is odd must be left to it."""

from __future__ import annotations

import asyncio
import struct
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr_core.audio.decode import decode
from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.audio.levels import WINDOW
from asr_core.errors import AudioTooLong
from asr_core.types import SAMPLE_RATE, Pcm

FORM = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if size is None else size) + content + b"\0" * (len(content) % 2)


def wav(*chunks: bytes) -> bytes:
    content = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def noise(samples: int, seed: int = 1) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-9000, 9000, samples, dtype=np.int16)


def decoded(path: Path, max_seconds: float = 3600.0, ffmpeg: str = "") -> list[Pcm]:
    async def collect() -> list[Pcm]:
        async with decode(path, max_seconds=max_seconds, ffmpeg=ffmpeg) as blocks:
            return [block async for block in blocks]

    return asyncio.run(collect())


def by_ffmpeg(path: Path) -> NDArray[np.int16]:
    command = [
        find_ffmpeg(),
        "-v",
        "quiet",
        "-i",
        str(path),
        "-map",
        "0:a:0",
        "-ac",
        "1",
        "-ar",
        "16000",
        "-f",
        "s16le",
        "-",
    ]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout, np.int16)


NO_FFMPEG = "/nowhere/ffmpeg"

other_chunks = st.lists(
    st.builds(chunk, st.sampled_from([b"fact", b"junk", b"cue "]), st.binary(max_size=60)), max_size=3
)


@settings(max_examples=15, deadline=None)
@given(samples=st.integers(1, 40_000), before=other_chunks, after=other_chunks)
def test_what_is_read_is_what_ffmpeg_reads(samples: int, before: list[bytes], after: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.wav")
        path.write_bytes(wav(*before, chunk(b"fmt ", FORM), chunk(b"data", noise(samples).tobytes()), *after))
        np.testing.assert_array_equal(np.concatenate(decoded(path)), by_ffmpeg(path))


@pytest.mark.parametrize("samples", [1, WINDOW - 1, WINDOW, 3 * WINDOW + 1])
def test_plain_samples_need_no_ffmpeg_and_come_in_blocks(samples: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(chunk(b"fmt ", FORM), chunk(b"data", noise(samples).tobytes())))
    blocks = decoded(path, ffmpeg=NO_FFMPEG)
    np.testing.assert_array_equal(np.concatenate(blocks), noise(samples))
    assert [len(block) for block in blocks[:-1]] == [WINDOW] * (len(blocks) - 1)
    assert 0 < len(blocks[-1]) <= WINDOW


def test_what_is_longer_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(chunk(b"fmt ", FORM), chunk(b"data", noise(SAMPLE_RATE + 1).tobytes())))
    with pytest.raises(AudioTooLong):
        decoded(path, max_seconds=1.0, ffmpeg=NO_FFMPEG)
    assert sum(map(len, decoded(path, max_seconds=1.1))) == SAMPLE_RATE + 1


SOUND = noise(12_000).tobytes()
STEREO = struct.pack("<HHIIHH", 1, 2, 16_000, 64_000, 4, 16)
SLOW = struct.pack("<HHIIHH", 1, 1, 8_000, 16_000, 2, 16)
BYTES = struct.pack("<HHIIHH", 1, 1, 16_000, 16_000, 1, 8)
ODD = {
    "stereo": wav(chunk(b"fmt ", STEREO), chunk(b"data", SOUND)),
    "8 kHz": wav(chunk(b"fmt ", SLOW), chunk(b"data", SOUND)),
    "8 bits": wav(chunk(b"fmt ", BYTES), chunk(b"data", SOUND)),
    "longer form": wav(chunk(b"fmt ", FORM + b"\0\0"), chunk(b"data", SOUND)),
    "cut off": wav(chunk(b"fmt ", FORM), chunk(b"data", SOUND))[:9_001],
    "written to a pipe": wav(chunk(b"fmt ", FORM), chunk(b"data", SOUND, size=0xFFFFFFFF)),
    "no size": wav(chunk(b"fmt ", FORM), chunk(b"data", SOUND, size=0)),
    "half a sample": wav(chunk(b"fmt ", FORM), chunk(b"data", SOUND + b"\1")),
    "two parts": wav(chunk(b"fmt ", FORM), chunk(b"data", SOUND), chunk(b"data", SOUND)),
    "a long list in front": wav(chunk(b"LIST", bytes(9000)), chunk(b"fmt ", FORM), chunk(b"data", SOUND)),
    "a long list behind": wav(chunk(b"fmt ", FORM), chunk(b"data", SOUND), chunk(b"LIST", bytes(9000))),
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_what_is_odd_is_what_ffmpeg_makes_of_it(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    np.testing.assert_array_equal(np.concatenate(decoded(path)), by_ffmpeg(path))
