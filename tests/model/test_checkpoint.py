"""Files that people put where weights belong: read without running them, refused with a sentence that helps."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from asr_core.errors import CheckpointError
from asr_core.model.checkpoint import read_checkpoint
from asr_core.model.linear import Target
from asr_core.model.recognizer import NativeRecognizer, load_recognizer
from asr_core.model.weights import MD5
from reference.checkpoints import configuration, random_weights, save
from tests.model.waveforms import noise

CPU_FP32 = Target(torch.device("cpu"), "fp32")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def test_a_hostile_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    torch.save({"cfg": {}, "state_dict": {}, "trap": Trap(trace)}, tmp_path / "hostile.ckpt")
    with pytest.raises(CheckpointError, match=r"hostile\.ckpt cannot be read"):
        read_checkpoint(tmp_path / "hostile.ckpt", tmp_path)
    assert not trace.exists()
    torch.load(tmp_path / "hostile.ckpt", weights_only=False)
    assert trace.exists(), "the trap must work, or the test proves nothing"


def test_a_configuration_does_not_get_to_read_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "secret")
    cfg = OmegaConf.create(configuration("v3_ctc") | {"model_name": "${oc.env:API_KEY}"})
    assert cfg.model_name == "secret", "OmegaConf must do that by itself, or the test proves nothing"
    torch.save({"cfg": cfg, "state_dict": {}}, tmp_path / "curious.ckpt")
    with pytest.raises(CheckpointError, match=r"curious\.ckpt"):
        read_checkpoint(tmp_path / "curious.ckpt", tmp_path)


@pytest.mark.parametrize("state", [{1: torch.ones(2)}, {"head.bias": torch.ones(2).to_sparse()}], ids=["key", "sparse"])
def test_weights_of_an_unusual_kind_are_refused(state: dict[Any, torch.Tensor], tmp_path: Path) -> None:
    torch.save({"cfg": configuration("v3_ctc"), "state_dict": state}, tmp_path / "odd.ckpt")
    with pytest.raises(CheckpointError, match="no state_dict of tensors"):
        read_checkpoint(tmp_path / "odd.ckpt", tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no weights file nowhere\.ckpt"):
        read_checkpoint(tmp_path / "nowhere.ckpt", tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>404</html>", pickle.dumps({"a": 1}), os.urandom(5_000)],
    ids=["empty", "html", "pickle", "junk"],
)
def test_a_file_that_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"junk\.ckpt"):
        read_checkpoint(path, tmp_path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(kept: float, checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    whole = checkpoint("v3_ctc").read_bytes()
    path = tmp_path / "cut.ckpt"
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(CheckpointError, match=r"cut\.ckpt cannot be read: it is damaged, truncated"):
        read_checkpoint(path, tmp_path)


def damaged(path: Path, whole: Path, n_bytes: int = 50) -> Path:
    """`whole` with some bytes of its weights turned over."""
    content = bytearray(whole.read_bytes())
    with zipfile.ZipFile(whole) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    middle = largest.header_offset + largest.file_size // 2
    for place in range(middle, middle + n_bytes):
        content[place] ^= 0xFF
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("n_bytes", [1, 50])
def test_weights_that_are_not_what_was_written_are_refused(
    n_bytes: int, checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    path = damaged(tmp_path / "rotten.ckpt", checkpoint("v3_ctc"), n_bytes)
    assert torch.load(path, weights_only=False), "torch itself must not mind, or the test proves nothing"
    with pytest.raises(CheckpointError, match=r"rotten\.ckpt cannot be read: it is damaged"):
        read_checkpoint(path, tmp_path)


def test_weights_without_checksums_are_taken(tmp_path: Path) -> None:
    cfg = configuration("v3_ctc")
    torch.serialization.set_crc32_options(False)
    try:
        path = save(tmp_path, "unsummed", cfg, random_weights(cfg))
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_checkpoint(path, tmp_path).tensors.by_name


def test_errors_do_not_tell_where_our_files_are(tmp_path: Path) -> None:
    path = tmp_path / "junk.ckpt"
    path.write_bytes(b"junk")
    with pytest.raises(CheckpointError) as refused:
        read_checkpoint(path, tmp_path)
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("encoder", "self_attention_model", "performer"),
        ("encoder", "subsampling_factor", 8),
        ("encoder", "d_model", 97),
        ("encoder", "conv_norm_type", "group_norm"),
        ("preprocessor", "sample_rate", 8_000),
        ("preprocessor", "mel_scale", "slaney"),
    ],
)
def test_another_architecture_is_named_by_what_is_unknown_in_it(
    section: str, key: str, value: object, tmp_path: Path
) -> None:
    cfg = configuration("v3_ctc")
    weights = random_weights(cfg)
    cfg[section][key] = value
    with pytest.raises(CheckpointError, match=f"architecture unknown here: {section}"):
        read_checkpoint(save(tmp_path, "other", cfg, weights), tmp_path)


def load_altered(tmp_path: Path, alter: Callable[[dict[str, torch.Tensor]], object]) -> NativeRecognizer:
    cfg = configuration("v3_ctc")
    weights = random_weights(cfg)
    alter(weights)
    return NativeRecognizer(save(tmp_path, "altered", cfg, weights), tmp_path, CPU_FP32)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"lacks the tensor encoder\.layers\.1\.norm_out\.bias"):
        load_altered(tmp_path, lambda weights: weights.pop("encoder.layers.1.norm_out.bias"))


def test_a_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"head\.decoder_layers\.0\.bias has shape \[3\]"):
        load_altered(tmp_path, lambda weights: weights.update({"head.decoder_layers.0.bias": torch.zeros(3)}))


def test_tensors_that_the_network_has_no_place_for_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"encoder\.layers\.2\.adapter"):
        load_altered(tmp_path, lambda weights: weights.update({"encoder.layers.2.adapter": torch.zeros(3)}))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["encoder.layers.1.norm_out.bias", "head.decoder_layers.0.weight"])
def test_a_tensor_with_a_value_that_is_no_number_is_named(name: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"{name} is damaged"):
        load_altered(tmp_path, lambda weights: weights[name].view(-1)[-1:].fill_(value))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("factor", [0.0, 1e30], ids=["the same whatever it hears", "beyond all numbers"])
def test_a_network_that_makes_nothing_of_sound_is_refused(factor: float, precision: str, tmp_path: Path) -> None:
    cfg = configuration("v3_ctc")
    weights = random_weights(cfg)
    for name, tensor in weights.items():
        if name.startswith("encoder.pre_encode") or factor:
            tensor.mul_(factor)
    path = save(tmp_path, "nonsense", cfg, weights)
    with pytest.raises(CheckpointError, match=r"weights of nonsense\.ckpt are damaged"):
        load_recognizer(str(path), precision=precision, models_dir=tmp_path)


def test_a_missing_tokenizer_is_named(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "e2e.ckpt"
    path.write_bytes(checkpoint("v3_e2e_ctc").read_bytes())
    with pytest.raises(CheckpointError, match=r"put e2e_tokenizer\.model beside e2e\.ckpt"):
        read_checkpoint(path, tmp_path)


def test_a_damaged_tokenizer_is_named(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "e2e.ckpt"
    path.write_bytes(checkpoint("v3_e2e_ctc").read_bytes())
    (tmp_path / "e2e_tokenizer.model").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match=r"e2e_tokenizer\.model is damaged"):
        NativeRecognizer(path, tmp_path, CPU_FP32)


def fine_tuned(tmp_path: Path, base: str, weights: dict[str, torch.Tensor]) -> Path:
    """A Lightning file as GigaAM's training writes it: everything may be in it, the base model's cfg is not."""
    path = tmp_path / "tuned.ckpt"
    hyper = OmegaConf.create({"model_name": base, "learning_rate": 1e-4})
    torch.save(
        {"state_dict": weights | {"loss.weight": torch.ones(3)}, "hyper_parameters": dict(hyper), "epoch": 3}, path
    )
    return path


def test_a_fine_tuned_checkpoint_goes_over_its_base(tmp_path: Path) -> None:
    cfg = configuration("v3_ctc")
    base, tuned = random_weights(cfg, seed=0), random_weights(cfg, seed=1)
    changed = {name: tensor for name, tensor in tuned.items() if name.startswith("head.")}
    save(tmp_path, "own_base", cfg, base)
    expected = NativeRecognizer(save(tmp_path, "merged", cfg, base | changed), tmp_path, CPU_FP32)
    ours = NativeRecognizer(fine_tuned(tmp_path, "own_base", changed), tmp_path, CPU_FP32)
    waveforms = noise(16_000)
    torch.testing.assert_close(ours.log_probs(waveforms), expected.log_probs(waveforms))


def test_a_fine_tuned_checkpoint_without_its_base_says_which_is_needed(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"fine-tuned from v3_ctc: its weights, v3_ctc\.ckpt"):
        read_checkpoint(fine_tuned(tmp_path, "v3_ctc", {}), tmp_path)


def test_a_base_that_is_not_the_official_file_of_its_name_is_refused(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "v3_ctc.ckpt"
    base.write_bytes(checkpoint("v3_ctc").read_bytes())
    tuned = fine_tuned(tmp_path, "v3_ctc", {})
    with pytest.raises(CheckpointError, match=r"v3_ctc\.ckpt is damaged, or not the official file"):
        read_checkpoint(tuned, tmp_path)
    monkeypatch.setitem(MD5, "v3_ctc", hashlib.md5(base.read_bytes()).hexdigest())
    read_checkpoint(tuned, tmp_path)


@pytest.mark.parametrize("written", [dict, OmegaConf.create], ids=["dict", "OmegaConf"])
def test_a_fine_tuned_checkpoint_with_a_configuration_of_its_own_needs_no_base(
    written: Callable[[dict[str, Any]], Any], tmp_path: Path
) -> None:
    cfg = configuration("multilingual_ctc")
    weights = random_weights(cfg)
    expected = NativeRecognizer(save(tmp_path, "whole", cfg, weights), tmp_path, CPU_FP32)
    hyper = {"model_name": "multilingual_ssl", "model_cfg": written(cfg), "learning_rate": 1e-4}
    document = {"state_dict": weights | {"loss.weight": torch.ones(3)}, "hyper_parameters": hyper}
    torch.save(document, tmp_path / "tuned.ckpt")
    ours = NativeRecognizer(tmp_path / "tuned.ckpt", tmp_path, CPU_FP32)
    torch.testing.assert_close(ours.log_probs(noise(16_000)), expected.log_probs(noise(16_000)))


def test_a_fine_tuned_checkpoint_takes_its_bases_tokenizer(tmp_path: Path) -> None:
    cfg = configuration("v3_e2e_ctc")
    weights = random_weights(cfg)
    save(tmp_path, "v3_e2e_ctc", cfg, weights)
    hyper = {"model_name": "v3_e2e_ctc", "model_cfg": cfg}
    torch.save({"state_dict": weights, "hyper_parameters": hyper}, tmp_path / "tuned.ckpt")
    assert read_checkpoint(tmp_path / "tuned.ckpt", tmp_path).tokenizer == tmp_path / "v3_e2e_ctc_tokenizer.model"


def test_the_name_of_a_base_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.ckpt").write_bytes(b"")
    (tmp_path / "models").mkdir()
    with pytest.raises(CheckpointError, match=r"secret\.ckpt, are needed"):
        read_checkpoint(fine_tuned(tmp_path, "../secret", {}), tmp_path / "models")


_MEASURE_PEAK = """
import re, sys, torch
from pathlib import Path
from asr_core.model.linear import Target
from asr_core.model.recognizer import NativeRecognizer, load_recognizer
from asr_core.model.weights import MD5

def peak():  # of this program alone: getrusage would count the parent that it was forked from
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

torch.set_num_threads(1)
path, warm = Path(sys.argv[1]), Path(sys.argv[2])
NativeRecognizer(warm, warm.parent, Target(torch.device("cpu"), "fp32"))
before = peak()
recognizer = NativeRecognizer(path, path.parent, Target(torch.device("cpu"), "fp32"))
print((peak() - before) / path.stat().st_size)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages are only given back on Linux")
def test_loading_takes_less_than_1_3_times_the_weights(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    cfg = configuration("v3_ctc", width=768, layers=6, heads=16)
    path = save(tmp_path, "large", cfg, random_weights(cfg))
    arguments = [sys.executable, "-c", _MEASURE_PEAK, str(path), str(checkpoint("v3_ctc"))]
    peak = float(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    assert 0.9 < peak < 1.3
