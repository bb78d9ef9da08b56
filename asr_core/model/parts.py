"""What a network is built from: its configuration, validated, and its tensors, each to be taken once."""

from __future__ import annotations

import ctypes
import mmap
import sys
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, Field, PositiveInt, model_validator
from torch import Tensor

from asr_core.errors import CheckpointError

# Bookkeeping that upstream stores beside the weights; the network needs none of it.
_NOT_WEIGHTS = ("num_batches_tracked", "pos_enc.pe")


class FeaturesConfig(BaseModel):
    """Log-mel front end; the defaults are those of v1 and v2, whose configurations leave them out."""

    sample_rate: Literal[16_000] = 16_000
    features: PositiveInt = 64
    n_fft: PositiveInt = 400
    win_length: PositiveInt = 400
    hop_length: PositiveInt = 160
    center: bool = True
    mel_scale: Literal["htk"] = "htk"
    mel_norm: None = None

    @model_validator(mode="after")
    def _window_fills_the_transform(self) -> FeaturesConfig:
        if self.win_length != self.n_fft:
            raise ValueError("win_length must equal n_fft")
        return self


class EncoderConfig(BaseModel):
    """Conformer encoder; the defaults are those of v1 and v2."""

    feat_in: PositiveInt
    n_layers: PositiveInt
    d_model: PositiveInt
    n_heads: PositiveInt
    subsampling: Literal["conv2d", "conv1d"] = "conv2d"
    subs_kernel_size: Literal[3, 5] = 3
    subsampling_factor: Literal[4] = 4
    ff_expansion_factor: PositiveInt = 4
    self_attention_model: Literal["rotary", "rel_pos"] = "rotary"
    pos_emb_max_len: PositiveInt = 5000
    conv_kernel_size: PositiveInt = 31
    conv_norm_type: Literal["batch_norm", "layer_norm"] = "batch_norm"

    @model_validator(mode="after")
    def _divides(self) -> EncoderConfig:
        if self.d_model % (2 * self.n_heads) or self.conv_kernel_size % 2 == 0:
            raise ValueError("d_model must be an even multiple of n_heads, conv_kernel_size odd")
        return self


class DecoderConfig(BaseModel):
    """RNN-T prediction network."""

    pred_hidden: PositiveInt
    pred_rnn_layers: Literal[1] = 1


class JointConfig(BaseModel):
    """RNN-T joint network."""

    joint_hidden: PositiveInt


class RnntHeadConfig(BaseModel):
    decoder: DecoderConfig
    joint: JointConfig


class CtcHeadConfig(BaseModel):
    num_classes: PositiveInt


class VocabularyConfig(BaseModel):
    """Characters, or nothing when a SentencePiece model lies beside the checkpoint."""

    vocabulary: list[str] | None = None


class ModelConfig(BaseModel):
    """What of a checkpoint's `cfg` shapes the network. A key that is unknown here does not change it."""

    model_name: str = "unnamed"
    preprocessor: FeaturesConfig
    encoder: EncoderConfig
    head: RnntHeadConfig | CtcHeadConfig
    decoding: VocabularyConfig = Field(default_factory=VocabularyConfig)


class Norm(NamedTuple):
    """What follows a normalisation: gain and shift, float32 [D] each."""

    gain: Tensor
    shift: Tensor

    def into(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The linear layer [out, D], [out] that takes the normalised frames themselves; `weight` is used up."""
        bias = bias + weight @ self.shift
        return weight.mul_(self.gain), bias

    def on(self, device: torch.device) -> Norm:
        return Norm(self.gain.to(device), self.shift.to(device))


@dataclass(slots=True)
class Tensors:
    """The weights by upstream's names below `prefix`; knows which of them have been taken."""

    by_name: dict[str, Tensor]
    mapped: bool = False
    """Whether the tensors are views of a mapped file, whose pages may be dropped once they have been copied."""
    prefix: str = ""
    taken: set[str] = field(default_factory=set)

    def scope(self, name: str) -> Tensors:
        return Tensors(self.by_name, self.mapped, f"{self.prefix}{name}.", self.taken)

    def take(self, name: str, *shape: int) -> Tensor:
        """Float32 copy of a tensor. Raises CheckpointError when it is missing, not of `shape`, or not all numbers."""
        full = self.prefix + name
        tensor = self.by_name.get(full)
        if tensor is None:
            raise CheckpointError(f"The checkpoint lacks the tensor {full}: it is of another architecture.")
        if tensor.shape != shape:
            raise CheckpointError(
                f"The checkpoint's {full} has shape {list(tensor.shape)}, its configuration says {list(shape)}."
            )
        self.taken.add(full)
        copy = tensor.to(torch.float32, copy=True)
        if self.mapped:
            _drop_pages(tensor)
        if not copy.sum(dtype=torch.float64).isfinite():  # which a single value that is no number decides
            raise CheckpointError(f"The checkpoint's {full} is damaged: not all of its values are numbers.")
        return copy

    def norm(self, name: str, width: int) -> Norm:
        norm = self.scope(name)
        return Norm(norm.take("weight", width), norm.take("bias", width))

    def leftovers(self) -> list[str]:
        """Weights that nobody took: not empty means that the network was not all built."""
        return sorted(n for n in self.by_name.keys() - self.taken if not n.endswith(_NOT_WEIGHTS))


def _drop_pages(tensor: Tensor) -> None:
    """Give the mapped file's pages under `tensor` back to the system; touched again, they would be read again."""
    if not sys.platform.startswith("linux"):
        return  # elsewhere the pages stay until the system wants them back: correct, only less thrifty
    storage = tensor.untyped_storage()
    granule = mmap.PAGESIZE
    first = -(-storage.data_ptr() // granule) * granule
    length = storage.data_ptr() + storage.nbytes() - first
    if length > 0:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), mmap.MADV_DONTNEED)
