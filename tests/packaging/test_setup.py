"""tools/setup.sh in an empty copy of the repository, as on a new machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.integration


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "uv.lock", "README.md", "LICENSE", "service.py"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("asr_core", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def setup(checkout: Path) -> str:
    """Run it as a shell without an active environment would; what it says."""
    path = os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if ".venv" not in folder)
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | {"PATH": path}
    done = subprocess.run(
        ["tools/setup.sh"], cwd=checkout, env=environment, check=False, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr


def test_it_makes_an_environment_that_runs_the_command_and_does_nothing_the_second_time(checkout: Path) -> None:
    said = setup(checkout)
    assert said.splitlines()[-1].startswith("setup: done, with ")

    program, sample = checkout / ".venv" / "bin" / "gigaam-asr", ROOT / "asr_core" / "demo" / "speech.wav"
    command = [str(program), "transcribe", str(sample), "-o", "-"]
    environment = {**os.environ, "MODEL": "demo"}
    heard = subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert heard.strip() == (ROOT / "asr_core" / "demo" / "speech.txt").read_text(encoding="utf-8").strip()

    assert setup(checkout) == ""
