"""What a server keeps of the recordings that it has heard."""

from __future__ import annotations

import sys
import wave
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from tests.conftest import Server

MIB = 1 << 20
STEP_S = 0.04
"""Sound for one more frame of the network: other shapes from the first layer to the last."""


def clips(speech: Path, counts: Sequence[int]) -> list[bytes]:
    """The beginning of a wav file, as long as half a second and so many steps."""
    cut = []
    for count in counts:
        with wave.open(str(speech)) as source, wave.open(buffer := BytesIO(), "wb") as clip:
            clip.setparams(source.getparams())
            clip.writeframes(source.readframes(round((0.5 + count * STEP_S) * source.getframerate())))
        cut.append(buffer.getvalue())
    return cut


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for resident memory")
def test_recordings_of_many_lengths_leave_memory_as_it_was(server: Server, speech: Path) -> None:
    def transcribe(counts: Sequence[int]) -> int:
        """Bytes resident after that."""
        with httpx.Client(timeout=60) as client:
            for clip in clips(speech, counts):
                form = {"files": {"file": ("clip.wav", clip)}, "data": {"model": "whisper-1"}}
                client.post(f"{server.url}/v1/audio/transcriptions", **form).raise_for_status()  # type: ignore[arg-type]
        rss: int = server.worker.memory_info().rss
        return rss

    before = transcribe(range(0, 120, 4))
    after = transcribe([count for count in range(120) if count % 4])
    assert after - before < 100 * MIB
