"""Measure everything, or a part, and write it down."""

from __future__ import annotations

import argparse
import platform
import shutil
import tempfile
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch

from asr_core.model.cpu import available_cores
from asr_core.settings import Settings
from benchmarks import company, engine, live, memory, older, report, service
from benchmarks.contestants import available_precisions
from benchmarks.machine import describe
from benchmarks.model import RANDOM, prepare, random_label
from benchmarks.timing import Finding

MINUTES = (10, 30, 60)
"""Of longform's recordings."""


def main() -> None:
    options = _options()
    torch.set_num_threads(available_cores())
    label = random_label(RANDOM[options.model][0]) if options.model in RANDOM else Path(options.model).stem
    results = report.Results.open(options.results, describe(options.machine), label)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="asr-bench-") as scratch:
        print(f"{results.machine['name']}; preparing {label}", flush=True)
        checkpoint = prepare(options.model, Path(scratch), Settings().models_dir)
        for part in PARTS:
            if part in options.parts:
                MEASURE[part](results, options, checkpoint, Path(scratch))
    print(f"{(time.monotonic() - begin) / 60:.1f} minutes; results in {options.results}")


def _engine(results: report.Results, options: argparse.Namespace, checkpoint: Path, folder: Path) -> None:
    """The model without a server, against others."""
    _begin(results, "engine")
    for rtf, findings in engine.run(checkpoint, folder, options.budget, ours_only=options.ours_only):
        for case, row in rtf.items():
            print(f"  RTF, {case}: " + ", ".join(f"{name} {value:.4f}" for name, value in row.items()))
        results.rtf |= rtf
        _add(results, "engine", _with_targets(findings, options.model), options.results)


def _with_targets(findings: list[Finding], model: str) -> list[Finding]:
    """Targets are for v3_ctc's sizes."""
    if model != "random_large":
        return findings
    return [replace(finding, at_least=None, at_most=None) for finding in findings]


def _company(results: report.Results, options: argparse.Namespace, checkpoint: Path, folder: Path) -> None:
    """Several pieces at once, and beside busy neighbours."""
    for precision in options.precisions or available_precisions():
        _begin(results, part := f"company, {precision}")
        _add(results, part, company.findings(checkpoint, precision, folder), options.results)


def _lengths(results: report.Results, options: argparse.Namespace, checkpoint: Path, folder: Path) -> None:
    """Memory after recordings of many lengths."""
    for precision in options.precisions or available_precisions():
        _begin(results, part := f"many lengths, {precision}")
        _add(results, part, memory.growth_by_lengths(checkpoint, precision), options.results)


def _notes(results: report.Results, options: argparse.Namespace, checkpoint: Path, folder: Path) -> None:
    """Voice notes beside a long recording, over HTTP."""
    _begin(results, "notes")
    for findings in service.run_notes(checkpoint, folder, options.precision):
        _add(results, "notes", findings, options.results)


def _service(results: report.Results, options: argparse.Namespace, checkpoint: Path, folder: Path) -> None:
    """What HTTP, decoding and scheduling leave of the model's speed."""
    _begin(results, "service")
    for findings in service.run(checkpoint, folder, options.precision):
        _add(results, "service", findings, options.results)


def _older(results: report.Results, options: argparse.Namespace, checkpoint: Path, folder: Path) -> None:
    """Speed on older processors, imitated."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        print("Older CPUs: left out, only those with x86's instructions are known")
        return
    _begin(results, part := "older CPUs, imitated")
    for findings in older.run(checkpoint, options.budget):
        _add(results, part, findings, options.results)


def _longform(results: report.Results, options: argparse.Namespace, checkpoint: Path, folder: Path) -> None:
    """What long recordings cost in words; the bundled model hears them."""
    lacking = [name for name in ("espeak-ng", "festival") if not shutil.which(name)]
    if lacking := lacking + [name for name in ("num2words", "pymorphy3") if not find_spec(name)]:
        print(f"Longform: left out, for want of {', '.join(lacking)}")
        return
    from benchmarks import longform  # noqa: PLC0415 - what it needs may not be installed

    for minutes in options.minutes:
        other = "" if options.seed is None else f" drawn with seed {options.seed}"
        _begin(results, part := f"longform, {minutes} minutes{other}, bundled model in fp32")
        for findings in longform.run(minutes, options.seed):
            _add(results, part, findings, options.results)


def _live(results: report.Results, options: argparse.Namespace, checkpoint: Path, folder: Path) -> None:
    """Text while it is spoken."""
    _begin(results, "live")
    for findings in live.run(checkpoint, folder, options.precision):
        _add(results, "live", findings, options.results)


MEASURE = {
    "engine": _engine,
    "company": _company,
    "lengths": _lengths,
    "notes": _notes,
    "service": _service,
    "older": _older,
    "longform": _longform,
    "live": _live,
}
PARTS = tuple(MEASURE)


def _begin(results: report.Results, part: str) -> None:
    """Measure a part anew."""
    print(report.title(part), flush=True)
    results.forget(part)


def _add(results: report.Results, part: str, findings: list[Finding], folder: Path) -> None:
    """Show findings and save them with those before."""
    for finding in findings:
        print(report.line(finding), flush=True)
    results.findings[part] += findings
    results.save(folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all unless named")
    parser.add_argument(
        "--model",
        default="random",
        help="random (v3_ctc's sizes), random_large (multilingual_large_ctc's), v3_ctc (from MODELS_DIR, downloaded if"
        " need be), or a .ckpt",
    )
    parser.add_argument("--machine", help="its name in the results, instead of what the CPU calls itself")
    parser.add_argument("--precision", default="int8", choices=("fp32", "bf16", "int8"), help="of notes and service")
    parser.add_argument(
        "--precisions", nargs="+", choices=("fp32", "bf16", "int8"), help="of company and lengths; all unless named"
    )
    parser.add_argument(
        "--minutes", nargs="+", type=int, default=MINUTES, help="of longform's recordings, multiples of ten"
    )
    parser.add_argument(
        "--ours-only", action="store_true", help="the engine without the others, which take memory and time"
    )
    parser.add_argument("--seed", type=int, help="of longform's recordings, to draw others: how much is chance")
    parser.add_argument("--budget", type=float, default=12.0, help="seconds for each comparison of the engine")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="folder to write to")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    options.parts = options.parts or PARTS
    return options
