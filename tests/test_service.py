"""What importing the Bento does, and does not do, to a process."""

from __future__ import annotations

import os
import subprocess
import sys


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
