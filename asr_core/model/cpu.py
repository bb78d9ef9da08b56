"""What this machine's processor can do for us: cores, and which precision is fastest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from asr_core.errors import PrecisionUnsupported
from asr_core.model.linear import Target, bf16_is_native
from asr_core.model.trials import seconds
from asr_core.types import Precision

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))

_PROBE_SHAPE = (500, 768, 3072)
"""Frames of a 20 s chunk, and the sizes of v3's largest layers: rows, in, out."""


def available_cores() -> int:
    """Cores that this process may really use: its affinity, or the container's CPU quota where that is less."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(affinity, int(quota))) if quota else affinity


def _cgroup_quota() -> float | None:
    """Cores that the control group grants, None without a limit."""
    try:
        if _CGROUP_V2.exists():
            quota, period = _CGROUP_V2.read_text().split()
        else:
            quota, period = (path.read_text().strip() for path in _CGROUP_V1)
        return int(quota) / int(period) if quota not in {"max", "-1"} else None
    except (OSError, ValueError):
        return None  # no control groups here, or none that we may read


def has_accelerator() -> bool:
    """Whether `DEVICE=auto` takes something else than the CPU."""
    return torch.cuda.is_available() or torch.backends.mps.is_available()


@dataclass(frozen=True, slots=True)
class Choice:
    """A precision and, in a sentence, why it was taken."""

    precision: Precision
    reason: str


def choose_precision(asked: str, device: torch.device) -> Choice:
    """`auto` takes the faster of fp32 and bf16; where the CPU has no bf16, of fp32 and int8.

    Raises PrecisionUnsupported when this processor or device cannot compute in what was asked for.
    """
    if asked == "fp32":
        return Choice("fp32", "as configured")
    if device.type != "cpu":
        if asked == "auto":
            return Choice("fp32", f"auto: the precision for {device.type}")
        raise PrecisionUnsupported(f"PRECISION={asked} is for the CPU; on {device.type} use fp32 or auto.")
    has_int8 = "onednn" in torch.backends.quantized.supported_engines
    if asked == "int8":
        if has_int8:
            return Choice("int8", "as configured")
        raise PrecisionUnsupported("This build of torch has no int8 kernels (oneDNN): use PRECISION=fp32 or auto.")
    if not bf16_is_native():
        if asked == "auto":
            return _fastest(("fp32", "int8") if has_int8 else ("fp32",), device)
        raise PrecisionUnsupported(
            "This CPU has no bf16 instructions that oneDNN takes (AVX512): use PRECISION=fp32, int8 or auto."
        )
    if asked == "bf16":
        return Choice("bf16", "as configured")
    return _fastest(("fp32", "bf16"), device)


def _fastest(precisions: Sequence[Precision], device: torch.device) -> Choice:
    taken = {precision: seconds_per_layer(Target(device, precision)) for precision in precisions}
    best = min(precisions, key=lambda precision: taken[precision])
    measured = ", ".join(f"{precision} {1000 * s:.1f} ms" for precision, s in taken.items())
    return Choice(best, f"auto: fastest on this CPU ({measured} for one layer)")


@cache
@torch.inference_mode()
def seconds_per_layer(target: Target, repeats: int = 9) -> float:
    """Time on a core of one linear layer of v3's largest shape with one thread, s; less than a second in all.

    Measured once: a model that is loaded again is to compute as before, however busy the machine is by then.
    """
    rows, width, inner = _PROBE_SHAPE
    random = torch.Generator().manual_seed(0)
    layer = target.linear(torch.randn(inner, width, generator=random), torch.zeros(inner))
    x = torch.randn(rows, width, generator=random).to(target.dtype)
    return seconds({"layer": lambda: layer(x)}, repeats)["layer"]
