"""Linear layers in the form that the machine computes fastest: nearly all of the network's work is here.

On x86 `torch.nn.functional.linear` goes to MKL, which runs at half the speed of oneDNN on many CPUs, and at its speed
on others; `PackedLinear` calls oneDNN, with weights laid out beforehand. Which it is to be is tried out. Every class
computes `x @ weight.T + bias`, then SiLU if asked.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from asr_core.model import kernels
from asr_core.model.int8 import Int8Linear
from asr_core.model.trials import fastest
from asr_core.types import Precision

_ROWS_HINT = 512
"""Rows that weights are laid out for: the frames of a 20 s chunk. Fewer or more are computed as well, a bit slower."""

_X86 = platform.machine() in {"x86_64", "AMD64"}
"""Elsewhere oneDNN's products are Arm's Compute Library's: fp32, and nothing after it in one go. What that has not, a
reference kernel computes, thirty times slower."""

_TRIED_SHAPE = (128, 768, 3072)
"""Rows, in and out."""
_TRIALS = 5


class Linear(Protocol):
    """A linear layer, its weights in place."""

    def __call__(self, x: Tensor) -> Tensor:
        """[N, in] → [N, out]."""


class PlainLinear:
    """`torch.nn.functional.linear`: any device, any build of torch."""

    def __init__(self, weight: Tensor, bias: Tensor, *, silu: bool = False) -> None:
        self.weight, self.bias, self.silu = weight, bias, silu

    def __call__(self, x: Tensor) -> Tensor:
        y = functional.linear(x, self.weight, self.bias)
        return kernels.silu(y) if self.silu else y


class PackedLinear:
    """oneDNN inner product over packed weights, in the dtype of the weights it is given: fp32 or bf16."""

    def __init__(self, weight: Tensor, bias: Tensor, *, silu: bool = False, silu_apart: bool = False) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS_HINT)
        self.bias = bias
        self.activation = "swish" if silu and not silu_apart else "none"
        self.silu = silu and silu_apart

    def __call__(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, self.activation, [], "")
        return kernels.silu(y) if self.silu else y


def in_turn(first: Linear, second: Linear, x: Tensor) -> Tensor:
    """`second(first(x))`, in int8 with as little as can be stored between the two."""
    if not isinstance(first, Int8Linear) or not isinstance(second, Int8Linear):
        return second(first(x))
    at_once = kernels.are_compiled() and first.is_settled and second.is_settled
    return first.by_frame_into(second, x) if at_once else second(first(x))


Kind = Callable[..., Linear]
"""Of a linear layer: takes weight, bias and `silu`."""


def products() -> dict[str, Kind]:
    """Linear layers with oneDNN and without, the one to take in doubt first."""
    apart: dict[str, Kind] = {"oneDNN, SiLU apart": partial(PackedLinear, silu_apart=True), "torch": PlainLinear}
    return {"oneDNN": PackedLinear, **apart} if _X86 else apart


@cache
@torch.inference_mode()
def fastest_product(dtype: torch.dtype) -> str:
    """Which of the products is fastest on this machine, by the largest of v3's layers; tried out once a process."""
    rows, width, inner = _TRIED_SHAPE
    random = torch.Generator().manual_seed(0)
    x, weight = torch.randn(rows, width, generator=random), torch.randn(inner, width, generator=random)
    bias = torch.zeros(inner)
    layers = {name: kind(weight.to(dtype), bias.to(dtype), silu=True) for name, kind in products().items()}
    return fastest({name: partial(layer, x.to(dtype)) for name, layer in layers.items()}, _TRIALS)


def packed_product(a: Tensor, b: Tensor) -> Tensor:
    """a [N, K] @ b [M, K].T → [N, M] in oneDNN, for operands that are not known beforehand."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return y


@dataclass(frozen=True, slots=True)
class Target:
    """Where and in what precision a network runs."""

    device: torch.device
    precision: Precision

    @property
    def packed(self) -> bool:
        """Whether linear layers are packed for this CPU."""
        return self.device.type == "cpu" and has_onednn()

    @property
    def dtype(self) -> torch.dtype:
        """Of activations. int8 is for the linear layers; what lies between them stays in a float format."""
        return torch.float32 if self.precision == "fp32" or not bf16_is_native() else torch.bfloat16

    @property
    def product(self) -> str:
        """How linear layers in the dtype of activations are computed: the fastest way that there is."""
        return fastest_product(self.dtype) if self.packed else "torch"

    def linear(self, weight: Tensor, bias: Tensor, *, silu: bool = False) -> Linear:
        """Layer from fp32 weights [out, in] and bias [out]; with `silu`, SiLU follows the product."""
        if self.precision == "int8":
            return Int8Linear(weight, bias, silu=silu, out_dtype=self.dtype)
        return self.float_linear(weight, bias, silu=silu)

    def float_linear(self, weight: Tensor, bias: Tensor, *, silu: bool = False) -> Linear:
        """The same, in the dtype of activations whatever the precision is."""
        return products()[self.product](self.place(weight), self.place(bias), silu=silu)

    def place(self, tensor: Tensor) -> Tensor:
        """On the device, in the dtype of activations."""
        return tensor.to(self.device, self.dtype)


def bf16_is_native() -> bool:
    """Whether this CPU computes bfloat16 in oneDNN without emulating it. Arm's never do, whatever they could."""
    return _X86 and has_onednn() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def has_onednn() -> bool:
    """Whether this build of torch carries oneDNN."""
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]  # torch leaves it untyped
