"""What a model needs of memory, in a process of its own: `python -m benchmarks.memory MEASURE CHECKPOINT PRECISION`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from asr_core.runtime import prepare
from benchmarks.timing import Finding

MIB = 1 << 20
RESIDENT_MAX_MIB = {"int8": 700.0, "fp32": 1536.0}

N_LENGTHS, SHORTEST_S, STEP_S = 500, 0.5, 0.04
"""Each length is one frame of the network more: other shapes from its first layer to its last."""
GROWTH_MAX_MIB = {"int8": 100.0}

CLEAR_PEAK = "5"
"""Written to clear_refs, this sets a process's peak to what it has now: proc_pid_clear_refs(5)."""


def status(pid: int | str, name: str) -> int:
    """Bytes of `VmRSS` (resident), or `VmHWM` (its peak), of a process."""
    found = re.search(rf"^{name}:\s*(\d+) kB$", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10


def forget_peak(pid: int | str) -> None:
    """Let the process's peak begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text(CLEAR_PEAK, encoding="ascii")


def is_measurable() -> bool:
    """Whether this system tells: Linux does."""
    return Path("/proc/self/clear_refs").exists()


def findings(checkpoint: Path, precision: str) -> list[Finding]:
    """Load a model in a fresh process and see what it takes."""
    found = _measured("load", checkpoint, precision)
    grown, peak = found["loaded"] - found["imported"], found["peak"] - found["imported"]
    return [
        Finding(
            f"{precision}: resident once loaded", found["loaded"] / MIB, "MiB", at_most=RESIDENT_MAX_MIB.get(precision)
        ),
        Finding(f"{precision}: resident after 20 s of sound", found["used"] / MIB, "MiB"),
        Finding(f"{precision}: peak while loading / what stays of it", peak / grown, at_most=2.0),
    ]


def growth_by_lengths(checkpoint: Path, precision: str) -> list[Finding]:
    """Have a fresh process hear recordings of many lengths."""
    found = _measured("lengths", checkpoint, precision)
    what = f"{N_LENGTHS} different lengths"
    grown, peak = ((found[name] - found["loaded"]) / MIB for name in ("rested", "peak"))
    return [
        Finding(f"resident at rest after {what} − once loaded", grown, "MiB", at_most=GROWTH_MAX_MIB.get(precision)),
        Finding(f"resident at rest after {what}", found["rested"] / MIB, "MiB"),
        Finding(f"peak during {what} − once loaded", peak, "MiB"),
    ]


def _measured(measure: str, checkpoint: Path, precision: str) -> dict[str, int]:
    command = [sys.executable, "-m", "benchmarks.memory", measure, str(checkpoint), precision]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=1800)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def load(checkpoint: str, precision: str) -> dict[str, int]:
    """Bytes resident: with everything imported, with the model loaded, at the peak between, and after use."""
    from asr_core.cli import sample  # noqa: PLC0415 - torch is imported only by the process that measures itself
    from asr_core.model.recognizer import load_recognizer  # noqa: PLC0415
    from asr_core.types import SAMPLE_RATE  # noqa: PLC0415

    forget_peak("self")
    found = {"imported": status("self", "VmRSS")}
    recognizer = load_recognizer(checkpoint, precision=precision, device="cpu")
    found |= {"loaded": status("self", "VmRSS"), "peak": status("self", "VmHWM")}
    recognizer.recognize([sample.waveform(20 * SAMPLE_RATE)])
    return found | {"used": status("self", "VmRSS")}


def lengths(checkpoint: str, precision: str) -> dict[str, int]:
    """Bytes resident: with the model loaded, at the peak while recordings of many lengths are computed as the engine
    does, and after that, when it has nothing to do."""
    from asr_core.cli import sample  # noqa: PLC0415
    from asr_core.cli.speed import at_once  # noqa: PLC0415
    from asr_core.model.cpu import available_cores  # noqa: PLC0415
    from asr_core.model.heap import give_back  # noqa: PLC0415
    from asr_core.model.recognizer import load_recognizer  # noqa: PLC0415
    from asr_core.types import SAMPLE_RATE  # noqa: PLC0415

    recognizer = load_recognizer(checkpoint, precision=precision, device="cpu")
    forget_peak("self")
    found = {"loaded": status("self", "VmRSS")}
    counts = [round((SHORTEST_S + i * STEP_S) * SAMPLE_RATE) for i in range(N_LENGTHS)]
    longest = sample.waveform(counts[-1])
    at_once(recognizer, [longest[:count] for count in counts], available_cores())
    found["peak"] = status("self", "VmHWM")
    give_back()
    return found | {"rested": status("self", "VmRSS")}


if __name__ == "__main__":
    prepare(os.environ)
    name, model, wanted = sys.argv[1:]
    print(json.dumps({"load": load, "lengths": lengths}[name](model, wanted)))
