"""What importing the Bento does, and does not do, to a process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from asr_core.configuration import NAMES
from tests.conftest import REPOSITORY


def run(script: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "BENTOML_DO_NOT_TRACK"}
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, env=environment, capture_output=True, timeout=100
    )
    assert done.returncode == 0, done.stderr.decode()


def test_the_process_that_supervises_the_worker_loads_no_torch_and_reports_to_nobody() -> None:
    """`bentoml serve` asks whether it may report before it imports the service, and again afterwards."""
    run("""
import sys
from bentoml._internal.utils.analytics import usage_stats
assert not usage_stats.do_not_track()
import service
assert usage_stats.do_not_track()
assert "torch" not in sys.modules
""")


def test_the_api_needs_neither_torch_nor_bentoml() -> None:
    run("""
import sys
import asr_core.api.app, asr_core.api.guard
assert {"torch", "bentoml"}.isdisjoint(sys.modules)
""")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("MODEL=nonsense", "MODEL=nonsense: takes v3_ctc, "),
        ("PORT={taken}", "PORT={taken}: another program listens there"),
        ("HOST=nowhere.invalid", "HOST=nowhere.invalid: takes an address or a name of this machine"),
    ],
)
def test_a_start_that_cannot_succeed_ends_in_one_line_without_the_key(
    text: str, complaint: str, tmp_path: Path
) -> None:
    names = {*NAMES, "BENTOML_DO_NOT_TRACK"}
    environment = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-m", "bentoml", "serve", "service:GigaamAsr", "--working-dir", str(REPOSITORY)]
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        taken = occupant.getsockname()[1]
        (tmp_path / ".env").write_text(f"API_KEY=open-sesame\nMODEL=demo\n{text.format(taken=taken)}\n")
        done = subprocess.run(
            command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
        )
    assert done.returncode == 1
    (line,) = (done.stdout + done.stderr).splitlines()
    assert complaint.format(taken=taken) in line
    assert "open-sesame" not in line
