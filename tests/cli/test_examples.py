"""The example scripts do what they say, on a real server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Server

EXAMPLES = REPOSITORY / "examples"


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh")))
def test_the_example_prints_the_text(script: str, server: Server, speech: Path, spoken_text: str) -> None:
    if script.startswith("curl") and shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    program = [sys.executable] if script.endswith(".py") else ["bash"]
    variables = {"ASR_URL": server.url, "API_KEY": "", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [*program, str(EXAMPLES / script), str(speech)],
        capture_output=True,
        text=True,
        env=os.environ | variables,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert spoken_text in done.stdout
