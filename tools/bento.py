"""Build the Bento with the versions that uv.lock pins: what `make bento` does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCKER = ROOT / "deploy" / "docker"
"""How the image is made of a Bento."""
PYTHON_OF_IMAGE = "3.12"
"""As its Dockerfile says; the pins name wheels for it."""


def build(home: Path, pins: tuple[str, ...] = ("--wheels", PYTHON_OF_IMAGE)) -> Path:
    """Build into the Bento store at `home`, requiring what tools/pins.py prints for `pins`; the Bento's folder."""
    printing = [sys.executable, str(ROOT / "tools" / "pins.py"), "--no-dev", *pins]
    requirements = subprocess.run(printing, check=True, stdout=subprocess.PIPE, text=True).stdout
    variables = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        shutil.copytree(
            ROOT / "asr_core", context / "asr_core", ignore=shutil.ignore_patterns("__pycache__", "fused-*.so")
        )
        for name in ("service.py", "bentofile.yaml", "LICENSE"):
            shutil.copy(ROOT / name, context)
        (context / "requirements.txt").write_text(requirements, encoding="utf-8")
        building = [sys.executable, "-m", "bentoml", "build"]
        subprocess.run(building, check=True, cwd=context, env=os.environ | variables, stdout=subprocess.DEVNULL)
    bentos = home / "bentos" / "gigaam_asr"
    built = bentos / (bentos / "latest").read_text(encoding="utf-8").strip()
    shutil.copytree(DOCKER, built / "env" / "docker", dirs_exist_ok=True)  # in place of BentoML's own Dockerfile
    return built


if __name__ == "__main__":
    home = Path(os.environ.get("BENTOML_HOME", Path.home() / "bentoml"))
    print(f"built gigaam_asr:{build(home).name}")
