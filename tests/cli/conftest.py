"""The program as users start it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

COMMAND = (sys.executable, "-m", "asr_core.cli")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**settings: str) -> dict[str, str]:
    """Ours, with the demo model in fp32, whatever else is configured; the package is found from any folder."""
    chosen = {"MODEL": "demo", "PRECISION": "fp32", "API_KEY": "", "COLUMNS": "200", "NO_COLOR": "1"}
    return os.environ | chosen | {"PYTHONPATH": str(REPOSITORY)} | settings


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `gigaam-asr` with these arguments in an empty folder, to its end."""

    def run(*arguments: str | Path, stdin: bytes = b"", **settings: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=environment(**settings),
            timeout=100,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
