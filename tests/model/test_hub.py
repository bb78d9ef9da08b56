"""Folders as model hubs have them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from asr_core.errors import CheckpointError
from asr_core.model.checkpoint import read_checkpoint
from asr_core.model.linear import Target
from asr_core.model.recognizer import NativeRecognizer
from reference.checkpoints import configuration, random_weights, save
from tests.model.waveforms import noise

CPU_FP32 = Target(torch.device("cpu"), "fp32")

FILES: dict[str, Callable[[dict[str, Tensor], Path], None]] = {
    "model.safetensors": save_file,
    "pytorch_model.bin": torch.save,
}


def folder_of(cfg: dict[str, Any], weights: dict[str, Tensor], place: Path, file: str = "model.safetensors") -> Path:
    folder = place / "GigaAM"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "gigaam", "cfg": cfg}), encoding="utf-8")
    FILES[file]({f"model.{name}": tensor.contiguous() for name, tensor in weights.items()}, folder / file)
    return folder


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", ["v3_ctc", "multilingual_ctc"])
def test_a_folder_from_a_hub_is_the_same_model_as_the_file(name: str, file: str, tmp_path: Path) -> None:
    cfg = configuration(name)
    weights = random_weights(cfg)
    expected = NativeRecognizer(save(tmp_path, name, cfg, weights), tmp_path, CPU_FP32)
    ours = NativeRecognizer(folder_of(cfg, weights, tmp_path, file), tmp_path, CPU_FP32)
    assert ours.recognize(noise(16_000, 5_123)) == expected.recognize(noise(16_000, 5_123))


def test_the_tokenizer_of_a_folder_lies_in_it(tmp_path: Path) -> None:
    cfg = configuration("v3_e2e_ctc")
    weights = random_weights(cfg)
    folder = folder_of(cfg, weights, tmp_path)
    with pytest.raises(CheckpointError, match=r"put tokenizer\.model into GigaAM\."):
        read_checkpoint(folder, tmp_path)
    expected = NativeRecognizer(save(tmp_path, "file", cfg, weights), tmp_path, CPU_FP32)
    shutil.copy(tmp_path / "file_tokenizer.model", folder / "tokenizer.model")
    ours = NativeRecognizer(folder, tmp_path, CPU_FP32)
    assert ours.recognize(noise(16_000)) == expected.recognize(noise(16_000))


class Trap:
    """Leaves a folder behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def test_a_hostile_file_in_a_folder_is_refused_and_not_executed(tmp_path: Path) -> None:
    folder, trace = tmp_path / "GigaAM", tmp_path / "executed"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(configuration("v3_ctc")))
    torch.save({"model.head.decoder_layers.0.bias": Trap(trace)}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin cannot be read"):
        read_checkpoint(folder, tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("config.json", None, r"folder GigaAM has no config\.json"),
        ("config.json", b"{", r"config\.json in GigaAM cannot be read"),
        ("config.json", b"[]", r"config\.json in GigaAM is not of a GigaAM model"),
        ("config.json", b'{"cfg": {"encoder": {}}}', "GigaAM is of an architecture unknown here"),
        ("model.safetensors", None, r"neither model\.safetensors nor pytorch_model\.bin"),
        ("model.safetensors", b"<html>404</html>", r"model\.safetensors cannot be read: it is damaged"),
    ],
)
def test_a_folder_that_is_no_model_says_what_is_wrong_with_it(
    file: str, content: bytes | None, complaint: str, tmp_path: Path
) -> None:
    cfg = configuration("v3_ctc")
    folder = folder_of(cfg, random_weights(cfg), tmp_path)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(CheckpointError, match=complaint):
        read_checkpoint(folder, tmp_path)


def test_a_folders_configuration_does_not_get_to_read_the_environment(tmp_path: Path) -> None:
    cfg = configuration("v3_ctc")
    folder = folder_of(cfg | {"model_name": "${oc.env:API_KEY}"}, random_weights(cfg), tmp_path)
    with pytest.raises(CheckpointError, match="asks for more than is in it"):
        read_checkpoint(folder, tmp_path)


def test_a_cut_file_of_a_folder_is_refused(tmp_path: Path) -> None:
    cfg = configuration("v3_ctc")
    folder = folder_of(cfg, random_weights(cfg), tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read: it is damaged, truncated"):
        read_checkpoint(folder, tmp_path)
