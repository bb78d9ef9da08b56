"""The kernels in torch: any device, any build. They say what the compiled ones must give."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_ROUNDING = 1.5 * 2**23
"""Near it, float32 numbers are the integers, and their lowest bits count up from zero."""


def silu(x: Tensor) -> Tensor:
    return functional.silu(x, inplace=True)


def quantise(x: Tensor, centre: Tensor, steps: int) -> tuple[Tensor, float, int]:
    shifted = x - centre  # float32, as the centre is
    low, high = (bound.item() for bound in torch.aminmax(shifted))
    low, high = min(low, 0.0), max(high, 0.0)  # zero is always representable
    scale = max(high - low, 1e-12) / steps
    zero_point = round(-low / scale)
    # Added to the sum, _ROUNDING leaves no room for a fraction: the rounded value is what the lowest byte holds.
    # Rounding, then converting floats to bytes, took twice as long.
    torch.add(torch.tensor([_ROUNDING + zero_point]), shifted, alpha=1 / scale, out=shifted)
    return shifted.view(torch.int32).to(torch.uint8), scale, zero_point


def add_norm(x: Tensor, y: Tensor | None, dtype: torch.dtype) -> Tensor:
    if y is not None:
        x += y
    return functional.layer_norm(x, x.shape[1:]).to(dtype)


def norm(x: Tensor, gain: Tensor, shift: Tensor, add: Tensor | None) -> Tensor:
    if add is not None:
        return functional.layer_norm(add.add_(x), x.shape[1:], gain, shift)
    return functional.layer_norm(x.float(), x.shape[1:], gain, shift).to(x.dtype)


def rotate(x: Tensor, gain: Tensor, shift: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    rows, half = cosine.shape
    cosine, sine = cosine[:, None], sine[:, None]
    first, second = (x * gain + shift).view(rows, -1, 2 * half).chunk(2, dim=2)  # [T, H, half]
    turned = torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=2)
    return turned.view(x.shape).to(x.dtype)


def glu(x: Tensor) -> Tensor:
    return functional.glu(x, dim=1)


def softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, dim=-1)
