"""A GigaAM `.ckpt` → its validated configuration and its tensors, without executing its pickle.

The file is mapped into memory, not read: a tensor's pages come in when its layer takes it and go again at once, so
loading never needs the weights twice.
"""

from __future__ import annotations

import collections
import re
import typing
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.errors import OmegaConfBaseException
from omegaconf.nodes import AnyNode
from pydantic import ValidationError
from torch import Tensor

from asr_core.errors import CheckpointError
from asr_core.model.parts import ModelConfig, Tensors
from asr_core.model.weights import MD5, WeightsStore

_PICKLE_ALLOWED: list[Any] = [
    *(DictConfig, ListConfig, ContainerMetadata, Metadata, AnyNode),
    *(typing.Any, dict, list, int, collections.defaultdict),
]

# `${name:argument}`, which OmegaConf would evaluate: `oc.env`, for one, reads the environment.
_RESOLVER = re.compile(r"\$\{.*:")

_READ_BYTES = 1 << 20


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

    Raises CheckpointError: missing, not a checkpoint, truncated, of an unknown architecture, without its tokenizer, or
    over a base that is not the official file of its name.
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


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"There is no weights file {path.name}.")
    try:
        with torch.serialization.safe_globals(_PICKLE_ALLOWED):
            document = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        _compare_checksums(path)
    except Exception as error:  # raised by whichever of unpickler, zip readers and mmap meets the damage first
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{path.name} cannot be read: it is damaged, truncated, or not a GigaAM checkpoint ({reason[:200]})"
        ) from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path.name} is not a GigaAM checkpoint: it holds a {type(document).__name__}.")
    return document


def _compare_checksums(path: Path) -> None:
    """Raise BadZipFile, or whatever else the archive's reader may, if its parts are not what was written.

    torch writes a checksum with each of them, unless it was told to write zeros, and does not look at it.
    """
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.CRC:
                with archive.open(part) as stream:
                    while stream.read(_READ_BYTES):
                        pass


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
    if base.stem in MD5:
        WeightsStore(models_dir).check(base.stem)
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
