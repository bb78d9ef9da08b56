"""Every stage in turn: `python -m tools.demo_model run-all --data DIR`. Each stage is also a command of its own."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

DEFAULT_DATA = Path("build/demo-model")


def stages(data: Path, parts: int, minutes: float) -> list[list[str]]:
    """The stages with their arguments; synthesis and training go on from where they were stopped."""
    export = data / "export"
    checkpoint = str(export / "demo_ctc.ckpt")
    resume = ["--resume"] if (data / "train0.pt").exists() else []
    return [
        ["synth", "--data", str(data), "--parts", str(parts)],
        ["train", "--data", str(data), "--minutes", str(minutes), *resume],
        ["export", "--data", str(data), "--out", checkpoint],
        ["evaluate", checkpoint, "--data", str(data), "--agreement", "100"],
        ["sample", checkpoint, "--data", str(data), "--out", str(export)],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.demo_model", description=__doc__)
    parser.add_argument("command", choices=["run-all"])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--parts", type=int, default=88, help="of the training set, 1,000 sentences each")
    parser.add_argument("--minutes", type=float, default=120.0, help="of training")
    arguments = parser.parse_args()
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}  # idle threads must not take the cores of others
    for name, *options in stages(arguments.data, arguments.parts, arguments.minutes):
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"tools.demo_model.{name}", *options]
        if subprocess.run(command, check=False, env=environment).returncode:
            raise SystemExit(f"{name} failed; the same command goes on from there")


if __name__ == "__main__":
    main()
