"""A GigaAM `.ckpt` → its validated configuration and its tensors, without executing its pickle.

The file is mapped into memory, not read: a tensor's pages come in when its layer takes it and go again at once, so
loading never needs the weights twice.
"""

from __future__ import annotations

import collections
import ctypes
import mmap
import re
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.errors import OmegaConfBaseException
from omegaconf.nodes import AnyNode
from pydantic import BaseModel, Field, PositiveInt, ValidationError, model_validator
from torch import Tensor

from asr_core.errors import CheckpointError

_PICKLE_ALLOWED: list[Any] = [
    *(DictConfig, ListConfig, ContainerMetadata, Metadata, AnyNode),
    *(typing.Any, dict, list, int, collections.defaultdict),
]

# `${name:argument}`, which OmegaConf would evaluate: `oc.env`, for one, reads the environment.
_RESOLVER = re.compile(r"\$\{.*:")

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
        """Float32 copy of a tensor. Raises CheckpointError when it is missing or not of `shape`."""
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
        return copy

    def leftovers(self) -> list[str]:
        """Weights that nobody took: not empty means that the network was not all built."""
        return sorted(n for n in self.by_name.keys() - self.taken if not n.endswith(_NOT_WEIGHTS))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    config: ModelConfig
    cfg: dict[str, Any]
    """The same as it stands in the file, unchecked."""
    tensors: Tensors
    tokenizer: Path | None
    """SentencePiece model, for a model without a character vocabulary."""


def read_checkpoint(path: Path, models_dir: Path) -> Checkpoint:
    """Read `path`; a fine-tuned (Lightning) file is laid over its base model, looked for in `models_dir`.

    Raises CheckpointError: missing, not a checkpoint, truncated, of an unknown architecture, without its tokenizer.
    """
    document = _load(path)
    tokenizer_of = path
    if "cfg" not in document:
        base = _base_path(document, path, models_dir)
        fine_tuned = _state_dict(document, path)
        document = _load(base)
        known = _state_dict(document, base)
        weights = {k: v for k, v in fine_tuned.items() if k.startswith(("preprocessor.", "encoder.", "head."))}
        document["state_dict"] = known | weights
        tokenizer_of = path if _tokenizer_path(path).exists() else base
    cfg = _plain(document.get("cfg"), path)
    config = _validated(cfg, path)
    tokenizer = None
    if config.decoding.vocabulary is None:
        tokenizer = _tokenizer_path(tokenizer_of)
        if not tokenizer.is_file():
            raise CheckpointError(f"The model needs its tokenizer: put {tokenizer.name} beside {path.name}.")
    return Checkpoint(config, cfg, Tensors(_state_dict(document, path), mapped=True), tokenizer)


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


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"There is no weights file {path.name}.")
    try:
        with torch.serialization.safe_globals(_PICKLE_ALLOWED):
            document = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # torch.load raises whatever the unpickler, zip reader or mmap happen to raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{path.name} cannot be read: it is damaged, truncated, or not a GigaAM checkpoint ({reason[:200]})"
        ) from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path.name} is not a GigaAM checkpoint: it holds a {type(document).__name__}.")
    return document


def _state_dict(document: dict[str, Any], path: Path) -> dict[str, Tensor]:
    state = document.get("state_dict")
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) and tensor.layout is torch.strided
        for name, tensor in state.items()
    ):
        raise CheckpointError(f"{path.name} is not a GigaAM checkpoint: it has no state_dict of tensors.")
    return dict(state)


def _base_path(document: dict[str, Any], path: Path, models_dir: Path) -> Path:
    hyper = document.get("hyper_parameters")
    name = hyper.get("model_name") if isinstance(hyper, dict | DictConfig) else None
    if not isinstance(name, str):
        raise CheckpointError(
            f"{path.name} is not a GigaAM checkpoint: neither cfg nor the name of a base model in it."
        )
    base = models_dir / f"{Path(name).name}.ckpt"
    if not base.is_file():
        raise CheckpointError(f"{path.name} is fine-tuned from {name}: its weights, {base.name}, are needed as well.")
    return base


def _tokenizer_path(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.stem}_tokenizer.model")


def _plain(cfg: Any, path: Path) -> dict[str, Any]:
    try:
        if isinstance(cfg, DictConfig) and any(map(_RESOLVER.search, _strings(OmegaConf.to_container(cfg)))):
            raise CheckpointError(f"{path.name}: its configuration asks for more than is in it.")
        plain = OmegaConf.to_container(cfg, resolve=True) if isinstance(cfg, DictConfig) else cfg
    except OmegaConfBaseException as error:
        raise CheckpointError(f"{path.name}: its configuration cannot be resolved.") from error
    if not isinstance(plain, dict):
        raise CheckpointError(f"{path.name} is not a GigaAM checkpoint: its cfg is a {type(plain).__name__}.")
    return {str(key): value for key, value in plain.items()}


def _strings(value: Any) -> Iterator[str]:
    """All strings in nested dicts and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _validated(cfg: dict[str, Any], path: Path) -> ModelConfig:
    try:
        return ModelConfig.model_validate(cfg)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "cfg"
        raise CheckpointError(f"{path.name} is of an architecture unknown here: {where}: {first['msg']}.") from error
