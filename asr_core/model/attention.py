"""Self-attention with the two kinds of positions that GigaAM has had, and the arithmetic that they share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from asr_core.model import kernels
from asr_core.model.linear import Target, has_onednn, packed_product
from asr_core.model.parts import EncoderConfig, Norm, Tensors
from asr_core.model.trials import fastest

SCORES_IN_CACHE = 1 << 20
"""Bytes of attention scores that are computed at a time: what a core's second-level cache holds."""

_TRIED_SHAPE = (16, 500, 48)
"""Heads, frames of a 20 s chunk, and size of a head in v3."""
_TRIALS = 9


class Attention(Protocol):
    def __call__(self, x: Tensor, positions: Tensor) -> Tensor:
        """Normalised frames [T, D] and the positions that its kind of attention wants → [T, D]."""


class RotaryAttention:
    """Self-attention whose queries and keys are projected from rotated frames.

    Unlike in RoFormer (Su et al., 2021), the rotation comes before the projection, so one product makes both.
    """

    def __init__(self, config: EncoderConfig, norm: Norm, tensors: Tensors, target: Target) -> None:
        width = config.d_model
        self.heads, self.head_size = config.n_heads, width // config.n_heads
        query, key, value, out = (_projection(tensors, name, width) for name in ("q", "k", "v", "out"))
        scale = self.head_size**-0.5
        self.query_key = target.linear(
            torch.cat([query[0] * scale, key[0]]), torch.cat([query[1] * scale, key[1]])
        )  # [D] → [2 D]
        self.value, self.out = target.linear(*norm.into(*value)), target.linear(*out)
        self.norm = norm.on(target.device)

    def __call__(self, x: Tensor, positions: Tensor) -> Tensor:
        """positions [2, T, head / 2]: cosine, sine."""
        query, key = self.query_key(kernels.rotate(x, *self.norm, *positions)).chunk(2, dim=1)
        return self.out(attend(self._split(query), self._split(key), self._split(self.value(x))))

    def _split(self, x: Tensor) -> Tensor:
        """[T, D] → [H, T, head]."""
        return x.view(x.shape[0], self.heads, self.head_size).transpose(0, 1)


class RelativeAttention:
    """Self-attention with Transformer-XL's relative positions (Dai et al., 2019): v1."""

    def __init__(self, config: EncoderConfig, norm: Norm, tensors: Tensors, target: Target) -> None:
        width = config.d_model
        self.heads, self.head_size = config.n_heads, width // config.n_heads
        query, key, value, out = (_projection(tensors, name, width) for name in ("q", "k", "v", "out"))
        scale = self.head_size**-0.5  # on the query and its two biases alike
        self.query = target.linear(*norm.into(query[0] * scale, query[1] * scale))
        self.key, self.value = target.linear(*norm.into(*key)), target.linear(*norm.into(*value))
        self.out = target.linear(*out)
        self.position = target.linear(tensors.take("linear_pos.weight", width, width), torch.zeros(width))
        self.content_bias, self.position_bias = (
            target.place(tensors.take(name, self.heads, self.head_size)[:, None] * scale)  # [H, 1, head]
            for name in ("pos_bias_u", "pos_bias_v")
        )

    def __call__(self, x: Tensor, positions: Tensor) -> Tensor:
        """x [T, D], positions [2 T - 1, D], from the farthest behind to the farthest ahead."""
        frames = x.shape[0]
        query = self._split(self.query(x))  # [H, T, head]
        distance = torch.bmm(query + self.position_bias, self._split(self.position(positions)).transpose(1, 2))
        # Row t of [H, T, 2 T - 1] begins T - 1 - t entries too early; one flat shift puts all rows right.
        distance = functional.pad(distance, (1, 0)).view(self.heads, -1, frames)[:, 1:]
        distance = distance.reshape(self.heads, frames, -1)[:, :, :frames]
        content = query + self.content_bias
        return self.out(attend(content, self._split(self.key(x)), self._split(self.value(x)), distance))

    def _split(self, x: Tensor) -> Tensor:
        """[T, D] → [H, T, head]."""
        return x.view(x.shape[0], self.heads, self.head_size).transpose(0, 1)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(query @ key.T + bias) @ value for [H, T, head] each, query already scaled → [T, H * head]."""
    form = "fused" if query.device.type != "cpu" else fastest_form(query.dtype)
    return FORMS[form](query, key, value, bias).transpose(0, 1).flatten(1)


def _fused(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """torch's own, all heads in one call."""
    mask = None if bias is None else bias[None]
    operands = (query[None], key[None], value[None])
    return functional.scaled_dot_product_attention(*operands, attn_mask=mask, scale=1.0)[0]


def _in_products(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Two products and a soft-max, a few heads at a time, whose scores stay in cache."""
    query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
    frames = query.shape[1]
    step = max(1, SCORES_IN_CACHE // (frames**2 * query.itemsize))
    # The product of single heads in fp32 takes oneDNN half the time of MKL, which is behind bmm.
    attend_group = _one_head if step == 1 and query.dtype is torch.float32 and has_onednn() else _few_heads
    groups = [slice(first, first + step) for first in range(0, query.shape[0], step)]
    return torch.cat([attend_group(query[h], key[h], value[h], None if bias is None else bias[h]) for h in groups])


Form = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]

FORMS: dict[str, Form] = {"products": _in_products, "fused": _fused}


@cache
@torch.inference_mode()
def fastest_form(dtype: torch.dtype) -> str:
    """Which of the forms is fastest on this machine for a chunk of 20 s; tried out once a process."""
    query, key, value = torch.randn(3, *_TRIED_SHAPE, generator=torch.Generator().manual_seed(0)).to(dtype)
    return fastest({name: partial(form, query, key, value, None) for name, form in FORMS.items()}, _TRIALS)


def _few_heads(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    scores = torch.bmm(query, key.transpose(1, 2))
    if bias is not None:
        scores += bias
    return torch.bmm(kernels.softmax(scores), value)


def _one_head(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    scores = packed_product(query[0], key[0])
    if bias is not None:
        scores += bias[0]
    return packed_product(kernels.softmax(scores), value[0].T.contiguous())[None]


def _projection(tensors: Tensors, name: str, width: int) -> tuple[Tensor, Tensor]:
    projection = tensors.scope(f"linear_{name}")
    return projection.take("weight", width, width), projection.take("bias", width)
