"""Older processors, as far as this one can imitate them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

# Our own kernels are chosen by what the processor really is, so they are left to torch, which can be told.
_TORCH_ALONE = {"COMPILED_KERNELS": "0"}


class Cpu(StrEnum):
    """What a processor has at most."""

    AVX2 = "avx2"
    SSE41 = "sse41"


ENVIRONMENTS: Mapping[Cpu, Mapping[str, str]] = {
    Cpu.AVX2: {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", **_TORCH_ALONE},
    Cpu.SSE41: {
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",  # MKL's one way to do without AVX, which it has for the sake of equal results
        **_TORCH_ALONE,
    },
}
"""Variables that make a process compute as there, if they are set before torch is imported."""
