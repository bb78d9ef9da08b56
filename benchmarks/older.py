"""What older processors make of it, imitated on this one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from asr_core.cli.older import ENVIRONMENTS, Cpu
from asr_core.types import SAMPLE_RATE
from benchmarks.contestants import Contestant, ours
from benchmarks.timing import Finding, in_turns

PRECISIONS = ("fp32", "int8")
"""What they have."""
LENGTHS_S = (3, 20)

THIS = "this CPU"
CPUS: Mapping[str, Mapping[str, str]] = {
    THIS: {},
    "AVX2": ENVIRONMENTS[Cpu.AVX2],
    "SSE4.1": ENVIRONMENTS[Cpu.SSE41],
}


def run(checkpoint: Path, budget_s: float) -> Iterator[list[Finding]]:
    """One recording at a time, in each precision on each processor in turns; `budget_s` of time for each comparison."""
    for precision in PRECISIONS:
        with ExitStack() as stack:
            everybody = {}
            for cpu, environment in CPUS.items():
                build = partial(ours, checkpoint, precision)
                everybody[cpu] = Contestant(build, ours=True, environment=environment)
                stack.callback(everybody[cpu].close)
            for seconds in LENGTHS_S:
                work = {cpu: partial(who.run, 1, seconds * SAMPLE_RATE) for cpu, who in everybody.items()}
                times = {cpu: min(each) for cpu, each in in_turns(work, budget_s).items()}
                yield findings(precision, seconds, times)


def findings(precision: str, seconds: int, times: Mapping[str, float]) -> list[Finding]:
    """From the least time of each, s."""
    case = f"{precision}, {seconds} s of sound"
    return [
        Finding(f"{case}: {cpu}'s time / {THIS}'s", time / times[THIS]) for cpu, time in times.items() if cpu != THIS
    ] + [Finding(f"{case}: on {cpu}", time, "s") for cpu, time in times.items()]
