"""What needs no browser of the page: its pure modules, in Node.js."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NODE = shutil.which("node")
TESTS = sorted((Path(__file__).parent / "modules").glob("*.test.mjs"))


@pytest.mark.skipif(NODE is None, reason="no Node.js on PATH: the page's modules are tested where there is one")
def test_the_pages_modules_pass_their_own_tests() -> None:
    run = subprocess.run([str(NODE), "--test", *map(str, TESTS)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
