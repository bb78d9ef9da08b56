"""A GigaAM `.ckpt`, or a folder from a model hub → its validated configuration and its tensors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from torch import Tensor

from asr_core.errors import CheckpointError
from asr_core.model.archive import load_archive
from asr_core.model.hub import load_folder, tokenizer_in
from asr_core.model.parts import ModelConfig, Tensors
from asr_core.model.weights import MD5, WeightsStore

# `${name:argument}`, which OmegaConf would evaluate: `oc.env`, for one, reads the environment.
_RESOLVER = re.compile(r"\$\{.*:")

_NETWORK = ("preprocessor.", "encoder.", "head.")
"""What the names of the network's tensors begin with; a training's file has others beside them."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    config: ModelConfig
    cfg: dict[str, Any]
    """The same as it stands in the file, unchecked."""
    tensors: Tensors
    tokenizer: Path | None
    """SentencePiece model, for a model without a character vocabulary."""


def read_checkpoint(path: Path, models_dir: Path) -> Checkpoint:
    """Read the file or folder at `path`; a fine-tuned (Lightning) file without a configuration of its own is laid over
    its base model, looked for in `models_dir`.

    Raises CheckpointError: missing, not a checkpoint, truncated, of an unknown architecture, without its tokenizer, or
    over a base that is not the official file of its name.
    """
    tokenizer = tokenizer_in(path) if path.is_dir() else _tokenizer_path(path)
    document = load_folder(path) if path.is_dir() else load_archive(path)
    if "cfg" not in document:
        document, base = _fine_tuned(document, path, models_dir)
        tokenizer = tokenizer if tokenizer.exists() else _tokenizer_path(base)
    cfg = _plain(document.get("cfg"), path)
    config = _validated(cfg, path)
    if config.decoding.vocabulary is None and not tokenizer.is_file():
        raise CheckpointError(f"The model needs its tokenizer: put {tokenizer.name} {_place(path)}.")
    tensors = Tensors(_state_dict(document, path), mapped=True)
    return Checkpoint(config, cfg, tensors, tokenizer if config.decoding.vocabulary is None else None)


def _place(path: Path) -> str:
    return f"into {path.name}" if path.is_dir() else f"beside {path.name}"


def _fine_tuned(document: dict[str, Any], path: Path, models_dir: Path) -> tuple[dict[str, Any], Path]:
    """A file of GigaAM's training as a checkpoint, and where its base model is, or would be."""
    hyper = document.get("hyper_parameters")
    name = hyper.get("model_name") if isinstance(hyper, dict | DictConfig) else None
    own = hyper.get("model_cfg") if isinstance(hyper, dict | DictConfig) else None
    if not isinstance(name, str) and own is None:
        raise CheckpointError(
            f"{path.name} is not a GigaAM checkpoint: neither cfg nor the name of a base model in it."
        )
    base = models_dir / f"{Path(str(name)).name}.ckpt"
    state = {k: v for k, v in _state_dict(document, path).items() if k.startswith(_NETWORK)}
    if own is not None:  # it is whole: its base may be a model that was never taught to write
        return {"cfg": own, "state_dict": state}, base
    if not base.is_file():
        raise CheckpointError(f"{path.name} is fine-tuned from {name}: its weights, {base.name}, are needed as well.")
    if base.stem in MD5:
        WeightsStore(models_dir).check(base.stem)
    document = load_archive(base)
    return document | {"state_dict": _state_dict(document, base) | state}, base


def _state_dict(document: dict[str, Any], path: Path) -> dict[str, Tensor]:
    state = document.get("state_dict")
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) and tensor.layout is torch.strided
        for name, tensor in state.items()
    ):
        raise CheckpointError(f"{path.name} is not a GigaAM checkpoint: it has no state_dict of tensors.")
    return dict(state)


def _tokenizer_path(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.stem}_tokenizer.model")


def _plain(cfg: Any, path: Path) -> dict[str, Any]:
    try:
        raw = OmegaConf.to_container(cfg) if isinstance(cfg, DictConfig) else cfg
        if any(map(_RESOLVER.search, _strings(raw))):  # in a plain one the gigaam package would evaluate it
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
