"""`gigaam-asr live` with a pipe for a microphone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import Server, free_port


def live(sound: bytes, server: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "asr_core.cli", "live", "-", "--server", server]
    return subprocess.run(command, input=sound, capture_output=True, check=False, timeout=90)


def test_what_comes_through_a_pipe_is_written_an_utterance_a_line(
    server: Server, speech: Path, spoken_text: str
) -> None:
    done = live(speech.read_bytes(), f"{server.url}/v1")
    lines = done.stdout.decode().splitlines()
    assert (" ".join(lines), done.returncode) == (spoken_text, 0), done.stderr
    assert len(lines) > 3


def test_noise_and_an_absent_server_are_said_to_be_so(server: Server) -> None:
    assert live(b"noise", server.url).returncode == 1
    absent = live(b"", f"127.0.0.1:{free_port()}")
    assert (absent.returncode, b"cannot be reached" in absent.stderr) == (1, True)
