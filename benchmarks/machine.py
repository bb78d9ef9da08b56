"""The machine that was measured, by what it is and not by what it is called."""

from __future__ import annotations

import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from asr_core.model.cpu import available_cores

_INSTRUCTION_SETS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)
"""Those that the speed of matrix products depends on, by the kernel's names."""

_PACKAGES = ("torch", "onnxruntime", "openvino")


def describe(name: str | None = None) -> dict[str, Any]:
    """CPU, cores, instruction sets, versions, date; `name` replaces what the CPU says of itself."""
    cores = available_cores()
    return {
        "name": name or f"{_cpu_model()}, {cores} cores",
        "cores": cores,
        "instruction_sets": _instruction_sets(),
        "versions": {"python": platform.python_version()} | _versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def has_amx() -> bool:
    """Whether the CPU multiplies matrices in tiles."""
    return "amx_int8" in _instruction_sets()


def slug(name: str) -> str:
    """`AMD EPYC (Zen 5), 2 cores` → `amd-epyc-zen-5-2-cores`: what its files are called."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _cpu_model() -> str:
    found = re.search(r"^model name\s*: (.+)$", _cpuinfo(), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _instruction_sets() -> list[str]:
    found = re.search(r"^(?:flags|Features)\s*: (.+)$", _cpuinfo(), re.MULTILINE)
    flags = set(found[1].split()) if found else set()
    return [name for name in _INSTRUCTION_SETS if name in flags]


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = torch.__version__ if package == "torch" else version(package)
        except PackageNotFoundError:
            continue
    return found
