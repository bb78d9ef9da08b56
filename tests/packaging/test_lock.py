"""uv.lock: what is installed where, as the founders of an offline NAS need it."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sysconfig.get_path("scripts")) / "uv"
LINUX = {"sys_platform": "linux", "platform_system": "Linux"}
PYTHONS = ["3.11", "3.12", "3.13"]

Package = dict[str, Any]


def read(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def lock() -> dict[str, Any]:
    return tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))


def uv(*arguments: str) -> str:
    done = subprocess.run([UV, *arguments], cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def exported(python: str, *options: str) -> dict[str, str]:
    """Version (or address) by name of everything that `uv sync` would install on Linux with this Python."""
    requirements = uv(
        "export", "--frozen", "--no-hashes", "--no-header", "--no-annotate", "--no-emit-project", *options
    )
    environment = LINUX | {"python_version": python, "python_full_version": f"{python}.1"}
    chosen = {}
    for line in requirements.splitlines():
        requirement, _, marker = line.partition(" ; ")
        if not marker or Marker(marker).evaluate(environment):
            name, version = requirement.split("==" if "==" in requirement else " @ ")
            assert name not in chosen, f"{name} twice"
            chosen[name] = version
    return chosen


def wheels_of(lock: dict[str, Any], name: str, version: str) -> list[dict[str, str]]:
    (package,) = (p for p in lock["package"] if p["name"] == name and p["version"] == version)
    wheels: list[dict[str, str]] = package["wheels"]
    return wheels


def test_the_lock_belongs_to_this_pyproject() -> None:
    uv("lock", "--check", "--offline")


@pytest.mark.parametrize("python", PYTHONS)
def test_linux_gets_the_cpu_builds_and_nothing_of_cuda_or_onnx(python: str) -> None:
    installed = exported(python)
    assert installed["torch"] == "2.13.0+cpu"
    assert installed["torchaudio"] == "2.11.0+cpu"
    unwanted = ("cuda", "cudnn", "cublas", "nccl", "triton", "onnx", "pyannote")
    assert [name for name in installed if any(word in name for word in unwanted)] == []
    # BentoML's own dependency: a Python file that asks a driver, where there is one, about its GPUs.
    assert [name for name in installed if "nvidia" in name] == ["nvidia-ml-py"]


def test_gigaam_comes_from_a_full_commit_of_its_repository() -> None:
    address, _, commit = exported("3.12")["gigaam"].rpartition("@")
    assert address == "git+https://github.com/salute-developers/GigaAM"
    assert len(commit) == 40


@pytest.mark.parametrize("name", ["torch", "torchaudio"])
def test_the_cpu_builds_are_there_for_every_python_and_both_architectures(lock: dict[str, Any], name: str) -> None:
    version = exported("3.12")[name]
    found = set()
    for wheel in wheels_of(lock, name, version):
        _, wheel_version, _, tags = parse_wheel_filename(wheel["url"].rsplit("/", 1)[1].replace("%2B", "+"))
        assert str(wheel_version) == version
        found |= {(tag.interpreter, tag.platform.rsplit("manylinux_2_28_")[-1]) for tag in tags}
    pythons = [f"cp{python.replace('.', '')}" for python in PYTHONS]
    assert found == {(python, machine) for python in pythons for machine in ("x86_64", "aarch64")}


def test_every_other_file_has_a_hash(lock: dict[str, Any]) -> None:
    without = {
        package["name"]
        for package in lock["package"]
        for file in [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        if not file.get("hash", "").startswith("sha256:")
    }
    assert without <= {"torch", "torchaudio"}


def test_the_server_is_installed_without_the_tools_of_its_developers() -> None:
    shipped, everything = exported("3.12", "--no-dev"), exported("3.12")
    assert {"bentoml", "torch", "gigaam", "silero-vad"} <= shipped.keys()
    assert {"pytest", "mypy", "openai", "hypothesis"} <= everything.keys() - shipped.keys()


def test_the_bill_of_materials_has_what_the_image_installs_and_where_it_comes_from() -> None:
    (line,) = re.findall(r"^\t@\.venv/bin/uv (export .*cyclonedx.*) -o \S+ >/dev/null$", read("Makefile"), re.MULTILINE)
    bill = json.loads(uv(*line.split()))
    assert bill["bomFormat"] == "CycloneDX"
    components = {component["name"]: component for component in bill["components"]}
    shipped = exported("3.12", "--no-dev")
    assert shipped.keys() <= components.keys()
    assert components["bentoml"]["version"] == shipped["bentoml"]
    assert components["bentoml"]["purl"] == f"pkg:pypi/bentoml@{shipped['bentoml']}"
    assert not {"pytest", "docling-gigaam"} & components.keys()


def test_no_address_of_the_machine_that_made_the_lock_is_left_in_it() -> None:
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    assert "127.0.0.1" not in text
    assert "localhost" not in text
