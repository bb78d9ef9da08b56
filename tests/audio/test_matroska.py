"""What ffmpeg writes is read block by block, however it arrives."""

from __future__ import annotations

import subprocess
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.audio.matroska import Block, MatroskaReader
from tests.audio.recordings import each_ffmpeg
from tests.audio.signals import SPEECH_FILE, in_blocks, speech


@cache
def written(program: str) -> bytes:
    command = [program, "-v", "error", "-copyts", "-itsoffset", "10", "-i", str(SPEECH_FILE)]
    command += ["-c:a", "pcm_s16le", "-f", "matroska", "-"]
    return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout


def read(pieces: list[bytes]) -> list[Block]:
    reader = MatroskaReader()
    return [block for piece in pieces for block in reader.push(piece)]


@each_ffmpeg
def test_blocks_hold_the_samples_and_their_times(program: str) -> None:
    blocks = read([written(program)])
    np.testing.assert_array_equal(np.frombuffer(b"".join(block.data for block in blocks), "<i2"), speech())
    starts = np.cumsum([0, *(len(block.data) // 2 for block in blocks)])[:-1]
    np.testing.assert_allclose([block.time_ms for block in blocks], 10_000 + starts / 16, atol=1)


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_file_in_pieces_of_one_size_is_the_same_file(size: int) -> None:
    whole = written(find_ffmpeg())
    assert read([whole[at : at + size] for at in range(0, len(whole), size)]) == read([whole])


@given(cuts=st.lists(st.integers(0, 1 << 24), max_size=30))
def test_a_file_in_any_pieces_is_the_same_file(cuts: list[int]) -> None:
    whole = written(find_ffmpeg())
    pieces = in_blocks(np.frombuffer(whole, np.uint8).astype(np.int16), cuts)
    assert read([piece.astype(np.uint8).tobytes() for piece in pieces]) == read([whole])


@given(cut=st.integers(0, 1 << 24))
def test_of_a_file_that_breaks_off_every_whole_block_is_read(cut: int) -> None:
    whole = written(find_ffmpeg())
    blocks = read([whole[: cut % len(whole)]])
    assert blocks == read([whole])[: len(blocks)]
