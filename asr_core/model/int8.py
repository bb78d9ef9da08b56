"""Linear layers in int8, through oneDNN. As every linear layer, `x @ weight.T + bias`, then SiLU if asked."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from asr_core.model import kernels

_ROUNDING = 1.5 * 2**23
"""Near it, float32 numbers are the integers, and their lowest bits count up from zero."""


class Int8Linear:
    """int8 weights with a scale for each output; activations are quantised as they come.

    Each input has a centre, from which it is quantised and whose product the bias carries: what is the same in all
    frames suffers no rounding then. It is the mean of the first frames that the layer is given, and does not change.

    Where the kernels are compiled, each frame has a scale of its own, since that costs nothing there; in torch, all of
    `x` has one. `x` holds the frames of one recording, so the result does not depend on what else is being computed.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, silu: bool = False, out_dtype: torch.dtype) -> None:
        self.scales = weight.abs().amax(1).clamp_(min=1e-12) / 127  # [out]
        self.zero_points = torch.zeros(len(self.scales), dtype=torch.int32)
        self.silu, self.out_dtype = silu, out_dtype
        self._exact: Tensor | None = weight
        self.bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        if self._exact is not None:
            self._settle(self._exact, x.float().mean(0))
        return self.by_frame(x) if kernels.are_compiled() else self.by_recording(x)

    @property
    def is_settled(self) -> bool:
        return self._exact is None

    def by_frame(self, x: Tensor) -> Tensor:
        """With a scale for each frame."""
        return self.finish(*kernels.quantise(x, self.centre, activation_steps()))

    def by_frame_into(self, second: Int8Linear, x: Tensor) -> Tensor:
        """As `second.by_frame(self.by_frame(x))`; what passes between the two is quantised as it is rescaled."""
        quantized, step_and_least = kernels.quantise(x, self.centre, activation_steps())
        y = self._product(quantized, 1.0, 0, None, torch.float32)
        between = (y, step_and_least, self.sums, self.bias, second.centre, activation_steps())
        return second.finish(*kernels.requantise(*between, silu=self.silu))

    def finish(self, quantized: Tensor, step_and_least: Tensor) -> Tensor:
        """From what `kernels.quantise` gives."""
        y = self._product(quantized, 1.0, 0, None, torch.float32)
        return kernels.rescale(y, step_and_least, self.sums, self.bias, self.out_dtype, silu=self.silu)

    def by_recording(self, x: Tensor) -> Tensor:
        """With one scale."""
        values = x - self.centre  # float32, as the centre is
        low, high = (bound.item() for bound in torch.aminmax(values))
        low, high = min(low, 0.0), max(high, 0.0)  # zero is always representable
        scale = max(high - low, 1e-12) / activation_steps()
        zero_point = round(-low / scale)
        # Added to the sum, _ROUNDING leaves no room for a fraction: the rounded value is what the lowest byte holds.
        # Rounding, then converting floats to bytes, took twice as long.
        torch.add(torch.tensor([_ROUNDING + zero_point]), values, alpha=1 / scale, out=values)
        quantized = values.view(torch.int32).to(torch.uint8)
        y = self._product(quantized, scale, zero_point, self.bias, self.out_dtype)
        return kernels.silu(y) if self.silu else y

    def _product(
        self, quantized: Tensor, scale: float, zero_point: int, bias: Tensor | None, dtype: torch.dtype
    ) -> Tensor:
        # Unsigned, since with signed activations oneDNN falls to a reference kernel that hardly ever ends.
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            *(quantized, scale, zero_point, self.weight, self.scales, self.zero_points, bias),
            *(1.0, 0, dtype, "none", [], ""),
        )
        return y

    def _settle(self, exact: Tensor, centre: Tensor) -> None:
        self.centre, self.bias = centre, self.bias + exact @ centre
        rounded = (exact / self.scales[:, None]).round_()
        self.sums = rounded.sum(1) * self.scales  # [out], of each output's weights
        self.weight = torch.ops.onednn.qlinear_prepack(rounded.to(torch.int8), None)
        self._exact = None


@cache
def activation_steps() -> int:
    """Steps that activations are quantised to: one fewer than the values, so that rounding cannot pass the ends.

    Without VNNI, x86 adds pairs of products in 16 bits, which saturate unless activations keep to 7 bits. Whether they
    do is tried out on the largest products there can be.
    """
    ones = torch.ones(1)
    weight = torch.ops.onednn.qlinear_prepack(torch.full((1, 64), 127, dtype=torch.int8), None)
    largest = torch.full((1, 64), 255, dtype=torch.uint8)
    product = torch.ops.onednn.qlinear_pointwise(
        *(largest, 1.0, 0, weight, ones, torch.zeros(1, dtype=torch.int32), None),
        *(1.0, 0, torch.float32, "none", [], ""),
    )
    return 254 if product.item() == 64 * 127 * 255 else 126
