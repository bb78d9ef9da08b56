"""The kernels in torch: any device, any build. They say what the compiled ones must give."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def silu(x: Tensor) -> Tensor:
    return functional.silu(x, inplace=True)


def quantise(x: Tensor, centre: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    values = x - centre  # float32, as the centre is
    least, greatest = values.aminmax(dim=1, keepdim=True)
    step = (greatest - least).clamp_(min=1e-12) / steps
    return ((values - least) / step).round_().to(torch.uint8), torch.cat([step, least], dim=1)


def rescale(  # noqa: PLR0913 - the kernel's operands
    x: Tensor, step_and_least: Tensor, sums: Tensor, bias: Tensor, dtype: torch.dtype, *, silu: bool
) -> Tensor:
    step, least = step_and_least[:, :1], step_and_least[:, 1:]
    y = x * step + (sums * least + bias)
    return (functional.silu(y) if silu else y).to(dtype)


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
