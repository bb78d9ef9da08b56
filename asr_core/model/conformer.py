"""The Conformer encoder of every GigaAM generation, written for a CPU.

A batch is a list. Every layer runs over each of its recordings in turn, while that layer's weights are in cache: there
is no padding, so there are no masks, no wasted frames, and a recording's result cannot depend on its neighbours.
Architecture: Gulati et al., "Conformer" (2020), with GigaAM's variations: v1 has Transformer-XL's relative positions,
v2 and v3 have rotary ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from asr_core.model import kernels
from asr_core.model.attention import Attention, RelativeAttention, RotaryAttention
from asr_core.model.heap import give_back
from asr_core.model.linear import Target, in_turn
from asr_core.model.parts import EncoderConfig, Norm, Tensors


class StridedConv1d:
    """v3's subsampling: two stride-2 convolutions over time, mel channels as input channels, each one product."""

    def __init__(self, config: EncoderConfig, tensors: Tensors, target: Target) -> None:
        self.kernel, self.dtype = config.subs_kernel_size, target.dtype
        self.convolutions = []
        channels = config.feat_in
        for index in (0, 2):
            conv = tensors.scope(f"conv.{index}")
            weight = conv.take("weight", config.d_model, channels, self.kernel).permute(0, 2, 1)  # [out, kernel, in]
            bias = conv.take("bias", config.d_model)
            self.convolutions.append(target.float_linear(weight.reshape(config.d_model, -1), bias))
            channels = config.d_model

    def __call__(self, features: Tensor) -> Tensor:
        """[F, M] → [T, D], float32: T = ceil(ceil(F / 2) / 2)."""
        x = features.to(self.dtype)
        half = self.kernel // 2
        for convolution in self.convolutions:
            windows = functional.pad(x, (0, 0, half, half)).unfold(0, self.kernel, 2)  # [T, in, kernel]
            x = convolution(windows.transpose(1, 2).reshape(windows.shape[0], -1)).relu_()
        return x.float()


class StridedConv2d:
    """v1's and v2's subsampling: two stride-2 convolutions over time and mel, then a projection."""

    def __init__(self, config: EncoderConfig, tensors: Tensors, target: Target) -> None:
        kernel, width = config.subs_kernel_size, config.d_model
        self.padding, self.dtype = kernel // 2, target.dtype
        self.convolutions = []
        channels, mels = 1, config.feat_in
        for index in (0, 2):
            conv = tensors.scope(f"conv.{index}")
            weight = target.place(conv.take("weight", width, channels, kernel, kernel))
            self.convolutions.append((weight, target.place(conv.take("bias", width))))
            channels, mels = width, (mels + 1) // 2
        out = tensors.scope("out")
        self.out = target.float_linear(out.take("weight", width, width * mels), out.take("bias", width))

    def __call__(self, features: Tensor) -> Tensor:
        """[F, M] → [T, D], float32: T = ceil(ceil(F / 2) / 2)."""
        x = features.to(self.dtype)[None, None]  # [1, 1, F, M]
        for weight, bias in self.convolutions:
            x = functional.conv2d(x, weight, bias, stride=2, padding=self.padding).relu_()
        x = x[0].transpose(0, 1)  # [T, D, M / 4]
        return self.out(x.reshape(x.shape[0], -1)).float()


class FeedForward:
    """Half of a Macaron pair; the norm before it and the half-step of its residual are folded into the weights."""

    def __init__(self, config: EncoderConfig, norm: Norm, tensors: Tensors, target: Target) -> None:
        width, inner = config.d_model, config.d_model * config.ff_expansion_factor
        first, second = tensors.scope("linear1"), tensors.scope("linear2")
        self.first = target.linear(*norm.into(first.take("weight", inner, width), first.take("bias", inner)), silu=True)
        self.second = target.linear(second.take("weight", width, inner).div_(2), second.take("bias", width) / 2)

    def __call__(self, x: Tensor) -> Tensor:
        """Normalised frames [T, D] → [T, D]."""
        return in_turn(self.first, self.second, x)


class DepthwiseConv:
    """Convolution of each channel with its own kernel over time, the norm that follows, and SiLU."""

    def __init__(self, config: EncoderConfig, tensors: Tensors, target: Target) -> None:
        width, kernel = config.d_model, config.conv_kernel_size
        conv, norm = tensors.scope("depthwise_conv"), tensors.scope("batch_norm")
        weight, bias = conv.take("weight", width, 1, kernel), conv.take("bias", width)
        self.norm: Norm | None = None
        if config.conv_norm_type == "layer_norm":
            self.norm = tensors.norm("batch_norm", width).on(target.device)
        else:  # in inference a batch norm is a scale and a shift of each channel: fold it into the kernel
            deviation = (norm.take("running_var", width) + 1e-5).sqrt()
            scale = norm.take("weight", width) / deviation
            shift = norm.take("bias", width) - norm.take("running_mean", width) * scale
            weight, bias = weight * scale[:, None, None], bias * scale + shift
        # As an image of height 1 in channels-last order, frames need no transposition and oneDNN's kernel is fast.
        self.weight = target.place(weight[:, :, None]).contiguous(memory_format=torch.channels_last)
        self.bias = target.place(bias)
        self.padding = (0, kernel // 2)

    def __call__(self, x: Tensor) -> Tensor:
        """[T, D] → [T, D]."""
        image = x[None, None].permute(0, 3, 1, 2)  # [1, D, 1, T]
        y = functional.conv2d(image, self.weight, self.bias, padding=self.padding, groups=x.shape[1])
        y = y.permute(0, 2, 3, 1).reshape(x.shape)
        return kernels.silu(kernels.norm(y, *self.norm) if self.norm else y)


class ConvolutionModule:
    """Pointwise, GLU, depthwise, pointwise; a pointwise convolution is a linear layer over the frames."""

    def __init__(self, config: EncoderConfig, norm: Norm, tensors: Tensors, target: Target) -> None:
        width = config.d_model
        first, second = tensors.scope("pointwise_conv1"), tensors.scope("pointwise_conv2")
        expand = first.take("weight", 2 * width, width, 1)[..., 0], first.take("bias", 2 * width)
        self.expand = target.linear(*norm.into(*expand))
        self.depthwise = DepthwiseConv(config, tensors, target)
        self.project = target.linear(second.take("weight", width, width, 1)[..., 0], second.take("bias", width))

    def __call__(self, x: Tensor) -> Tensor:
        """Normalised frames [T, D] → [T, D]."""
        return self.project(self.depthwise(kernels.glu(self.expand(x))))


class ConformerLayer:
    """Feed-forward, attention, convolution, feed-forward, each on a residual in fp32; then a norm."""

    def __init__(self, config: EncoderConfig, tensors: Tensors, target: Target) -> None:
        def norm(name: str) -> Norm:
            return tensors.norm(f"norm_{name}", config.d_model)

        feed_forward1, feed_forward2, conv = map(tensors.scope, ("feed_forward1", "feed_forward2", "conv"))
        attention = RotaryAttention if config.self_attention_model == "rotary" else RelativeAttention
        self.dtype = target.dtype
        self.feed_forward1 = FeedForward(config, norm("feed_forward1"), feed_forward1, target)
        self.self_attn: Attention = attention(config, norm("self_att"), tensors.scope("self_attn"), target)
        self.conv = ConvolutionModule(config, norm("conv"), conv, target)
        self.feed_forward2 = FeedForward(config, norm("feed_forward2"), feed_forward2, target)
        self.norm_out = norm("out").on(target.device)

    def __call__(self, x: Tensor, positions: Tensor) -> Tensor:
        """[T, D] → [T, D], float32; `x` is used up."""
        step = partial(kernels.add_norm, dtype=self.dtype)
        y = self.feed_forward1(step(x, None))
        y = self.self_attn(step(x, y), positions)
        y = self.conv(step(x, y))
        y = self.feed_forward2(step(x, y))
        return kernels.norm(y, *self.norm_out, add=x)


class Conformer:
    """Subsampling by four, then the layers."""

    def __init__(self, config: EncoderConfig, tensors: Tensors, target: Target, example: Tensor | None = None) -> None:
        """`example` [F, M]: features of speech, for layers that settle on what they are given first."""
        self.config, self.target = config, target
        subsampling = StridedConv1d if config.subsampling == "conv1d" else StridedConv2d
        self.subsampling = subsampling(config, tensors.scope("pre_encode"), target)
        self.layers: list[ConformerLayer] = []
        batch = [] if example is None else [self.subsampling(example)]
        for i in range(config.n_layers):
            self.layers.append(ConformerLayer(config, tensors.scope(f"layers.{i}"), target))
            give_back()  # or what each layer's weights were made from leaves holes, a seventh of the whole
            batch = [self.layers[-1](item, self._positions(len(item))) for item in batch]

    def __call__(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Log-mels [F_i, M] → frames [T_i, D], one every four of the features'."""
        batch = [self.subsampling(item) for item in features]
        positions = {frames: self._positions(frames) for frames in {item.shape[0] for item in batch}}
        for layer in self.layers:
            batch = [layer(item, positions[item.shape[0]]) for item in batch]
        return batch

    def _positions(self, frames: int) -> Tensor:
        if self.config.self_attention_model == "rotary":
            return self._angles(frames).to(self.target.device)
        return self.target.place(self._distances(frames))

    def _angles(self, frames: int) -> Tensor:
        """[2, T, head / 2]: cosine and sine of each frame's rotation of each pair."""
        size = self.config.d_model // self.config.n_heads
        frequency = 1.0 / self.config.pos_emb_max_len ** (torch.arange(0, size, 2) / size)
        angles = torch.arange(frames)[:, None] * frequency
        return torch.stack([angles.cos(), angles.sin()])

    def _distances(self, frames: int) -> Tensor:
        """[2 T - 1, D]: sinusoids of the distances T - 1 down to 1 - T."""
        width = self.config.d_model
        frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
        angles = torch.arange(frames - 1, -frames, -1)[:, None] * frequency  # [2 T - 1, D / 2]
        return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
