"""The bundled model on older processors, as far as this one imitates them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from asr_core.cli.older import ENVIRONMENTS, Cpu
from tests.engine.engines import SAMPLE_TEXT

_HEAR = """
import sys
import torch
from asr_core.model.recognizer import load_recognizer
from asr_core.types import INT16_SCALE
from tests.engine.engines import SAMPLE, read
capabilities = {"avx2": "AVX2", "sse41": "DEFAULT"}
assert torch.backends.cpu.get_cpu_capability() == capabilities[sys.argv[1]]
waveform = torch.from_numpy(read(SAMPLE).copy()) / INT16_SCALE
for precision in ("fp32", "int8"):
    (hypothesis,) = load_recognizer("demo", precision=precision, device="cpu").recognize([waveform])
    print(hypothesis.text)
"""


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="imitates older x86 CPUs")
@pytest.mark.parametrize("cpu", Cpu)
def test_the_samples_text_is_the_same(cpu: Cpu) -> None:
    command = [sys.executable, "-c", _HEAR, cpu]
    environment = os.environ | ENVIRONMENTS[cpu]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [SAMPLE_TEXT] * 2
