"""Our engine where others compute too: `python -m benchmarks.company MODEL PRECISION FOLDER`, in a new process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from asr_core.runtime import prepare
from benchmarks.timing import Finding

if TYPE_CHECKING:
    from asr_core.engine.engine import Engine

N_CHUNKS, CHUNK_S, NOTE_S = 4, 20, 3
ROUNDS, NOTES = 3, 5
NEIGHBOURS = (0, 1, 3)
SETTLE_S = 0.3
"""For the scheduler of the system to notice the neighbours."""

BESIDE_AT_MOST = {1: 1.6, 3: 3.0}
"""The same time beside so many busy processes, on two cores: fair would be 1.33 and 2.5."""
NOTE_BESIDE = 2.0
TWO_WORKERS = 1.85

Times = dict[str, float]
"""Medians, s."""


def findings(checkpoint: Path, precision: str, folder: Path) -> list[Finding]:
    """Measure in a fresh process, which has the environment of our server."""
    command = [sys.executable, "-m", "benchmarks.company", str(checkpoint), precision, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=900)
    return ratios(json.loads(done.stdout.splitlines()[-1]))


def ratios(times: Times) -> list[Finding]:
    """What is to be known of the measured times."""
    chunks = f"{N_CHUNKS} × {CHUNK_S} s"
    speedup = times["one worker"] / times["two workers"]
    found = [
        Finding(
            f"{chunks} beside {n} busy process{'es' if n > 1 else ''} / alone",
            *(times[f"chunks, {n}"] / times["chunks, 0"], "×", None, at_most),
        )
        for n, at_most in BESIDE_AT_MOST.items()
    ]
    found += [
        Finding(
            f"{NOTE_S} s clip beside a busy process / alone",
            times["note, 1"] / times["note, 0"],
            at_most=NOTE_BESIDE,
        ),
        Finding(f"{chunks}, two workers / one, speed", speedup, at_least=TWO_WORKERS),
    ]
    found += [
        Finding(f"{chunks}, {n} workers / one, speed, extrapolated by Amdahl's law", amdahl(speedup, n)) for n in (4, 8)
    ]
    found += [
        Finding(f"{chunks} alone", times["chunks, 0"], "s"),
        Finding(f"{NOTE_S} s clip alone", times["note, 0"], "s"),
        Finding(f"{chunks} on one worker", times["one worker"], "s"),
    ]
    return found


def amdahl(speedup_of_two: float, n: int) -> float:
    """Speed-up with `n` workers, if what two cannot do beside each other stays as it is."""
    serial = min(1.0, max(0.0, 2 / speedup_of_two - 1))
    return 1 / (serial + (1 - serial) / n)


async def measure(checkpoint: str, precision: str, folder: Path) -> Times:
    """In turns, so that whatever else the machine does hits all alike; but all that is alone comes first, since the
    engine remembers neighbours for a minute."""
    from asr_core.cli.speed import neighbours  # noqa: PLC0415 - torch reads the environment when it is imported
    from asr_core.model.cpu import available_cores  # noqa: PLC0415
    from benchmarks.recordings import wav  # noqa: PLC0415

    chunks, note = [wav(folder, CHUNK_S).path] * N_CHUNKS, [wav(folder, NOTE_S).path]
    usual = available_cores()
    engines = {n: await _started(checkpoint, precision, n) for n in {1, 2, usual}}
    times: defaultdict[str, list[float]] = defaultdict(list)
    for n in NEIGHBOURS:
        for _ in range(ROUNDS):
            if not n:
                times["one worker"].append(await _seconds(engines[1], chunks))
                times["two workers"].append(await _seconds(engines[2], chunks))
            with neighbours(n):
                await asyncio.sleep(SETTLE_S)
                times[f"chunks, {n}"].append(await _seconds(engines[usual], chunks))
                times[f"note, {n}"] += [await _seconds(engines[usual], note) for _ in range(NOTES)]
    for engine in engines.values():
        await engine.stop()
    return {name: median(each) for name, each in times.items()}


async def _started(checkpoint: str, precision: str, n_workers: int) -> Engine:
    from asr_core.engine.engine import Engine  # noqa: PLC0415
    from asr_core.settings import Settings  # noqa: PLC0415

    chosen = {"model": checkpoint, "precision": precision, "num_threads": n_workers, "device": "cpu"}
    engine = Engine(Settings(_env_file=None, **chosen))  # type: ignore[arg-type]  # of several types
    await engine.start()
    await engine.ready()
    return engine


async def _seconds(engine: Engine, recordings: Sequence[Path]) -> float:
    """For all of them, begun at once."""

    async def transcribe(path: Path) -> None:
        async with engine.open(path) as job:
            await job.transcript()

    begin = time.perf_counter()
    await asyncio.gather(*map(transcribe, recordings))
    return time.perf_counter() - begin


if __name__ == "__main__":
    prepare(os.environ)
    model, wanted, scratch = sys.argv[1:]
    print(json.dumps(asyncio.run(measure(model, wanted, Path(scratch)))))
