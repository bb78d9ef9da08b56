"""`python -m benchmarks`: measure everything, or a part, and write it down."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from asr_core.model.cpu import available_cores
from asr_core.settings import Settings
from benchmarks import engine, report, service
from benchmarks.machine import describe
from benchmarks.model import prepare
from benchmarks.timing import Finding

PARTS = ("engine", "service")


def main() -> None:
    options = _options()
    torch.set_num_threads(available_cores())
    label = "random weights, v3_ctc's sizes" if options.model == "random" else Path(options.model).stem
    results = report.Results.open(options.results, describe(options.machine), label)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="asr-bench-") as scratch:
        folder = Path(scratch)
        print(f"{results.machine['name']}; preparing {label}", flush=True)
        checkpoint = prepare(options.model, folder, Settings().models_dir)
        if "engine" in options.parts:
            print("Engine", flush=True)
            results.forget("engine")
            for rtf, findings in engine.run(checkpoint, folder, options.budget):
                for case, row in rtf.items():
                    print(f"  RTF, {case}: " + ", ".join(f"{name} {value:.4f}" for name, value in row.items()))
                results.rtf |= rtf
                _add(results, "engine", findings, options.results)
        if "service" in options.parts:
            print("Service", flush=True)
            results.forget("service")
            for findings in service.run(checkpoint, folder, options.precision):
                _add(results, "service", findings, options.results)
    print(f"{(time.monotonic() - begin) / 60:.1f} minutes; results in {options.results}")


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
        help="random (v3_ctc's sizes), v3_ctc (from MODELS_DIR, downloaded if need be), or a .ckpt",
    )
    parser.add_argument("--machine", help="its name in the results, instead of what the CPU calls itself")
    parser.add_argument("--precision", default="int8", choices=("fp32", "bf16", "int8"), help="of the service")
    parser.add_argument("--budget", type=float, default=12.0, help="seconds for each comparison of the engine")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="folder to write to")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    options.parts = options.parts or PARTS
    return options


if __name__ == "__main__":
    main()
