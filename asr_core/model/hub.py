"""A folder as model hubs have them: `config.json` beside `model.safetensors` or `pytorch_model.bin`.

The network's configuration is the file's `cfg`, or all of it; the names of its tensors begin with `model.`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from asr_core.errors import CheckpointError
from asr_core.model.archive import load_archive, unreadable

_CONFIG, _SAFE, _PICKLED = "config.json", "model.safetensors", "pytorch_model.bin"
_PREFIX = "model."


def load_folder(folder: Path) -> dict[str, Any]:
    """`folder` as a checkpoint's `cfg` and `state_dict`. Raises CheckpointError where a file is missing or damaged.

    Of two files of weights the one that cannot hold a program is read; the other is not executed either.
    """
    return {"cfg": _configuration(folder), "state_dict": _tensors(folder)}


def tokenizer_in(folder: Path) -> Path:
    """Where the SentencePiece model of `folder` is, or would be."""
    return next(iter(sorted(folder.glob("*tokenizer.model"))), folder / "tokenizer.model")


def _configuration(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"The folder {folder.name} has no {_CONFIG}, as model hubs put it there.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{_CONFIG} in {folder.name} cannot be read: it is not JSON.") from error
    cfg = config.get("cfg", config) if isinstance(config, dict) else config
    if not isinstance(cfg, dict):
        raise CheckpointError(f"{_CONFIG} in {folder.name} is not of a GigaAM model.")
    return cfg


def _tensors(folder: Path) -> dict[Any, Any]:
    if (path := folder / _SAFE).is_file():
        try:
            tensors: dict[Any, Any] = load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise unreadable(path, error) from error
    elif (path := folder / _PICKLED).is_file():
        tensors = load_archive(path)
    else:
        raise CheckpointError(f"The folder {folder.name} has neither {_SAFE} nor {_PICKLED}.")
    return {name.removeprefix(_PREFIX) if isinstance(name, str) else name: tensor for name, tensor in tensors.items()}
