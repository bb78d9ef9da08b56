"""A file that torch wrote → what is in it, without executing its pickle.

The file is mapped into memory, not read: a tensor's pages come in when its layer takes it and go again at once, so
loading never needs the weights twice.
"""

from __future__ import annotations

import collections
import typing
import zipfile
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.nodes import AnyNode

from asr_core.errors import CheckpointError

_PICKLE_ALLOWED: list[Any] = [
    *(DictConfig, ListConfig, ContainerMetadata, Metadata, AnyNode),
    *(typing.Any, dict, list, int, collections.defaultdict),
]

_READ_BYTES = 1 << 20


def load_archive(path: Path) -> dict[str, Any]:
    """The dict in `path`. Raises CheckpointError: missing, damaged, truncated, not one of torch's, not a dict."""
    if not path.is_file():
        raise CheckpointError(f"There is no weights file {path.name}.")
    try:
        with torch.serialization.safe_globals(_PICKLE_ALLOWED):
            document = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        _compare_checksums(path)
    except Exception as error:  # raised by whichever of unpickler, zip readers and mmap meets the damage first
        raise unreadable(path, error) from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path.name} is not a GigaAM checkpoint: it holds a {type(document).__name__}.")
    return document


def unreadable(path: Path, error: Exception) -> CheckpointError:
    """What to say of `path` when reading it ended in `error`."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return CheckpointError(
        f"{path.name} cannot be read: it is damaged, truncated, or not a GigaAM checkpoint ({reason[:200]})"
    )


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
