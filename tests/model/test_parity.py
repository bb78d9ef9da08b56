"""Our network against the networks that it stands in for, on random weights."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gigaam.encoder import ConformerEncoder

from asr_core.errors import CheckpointError, ModelError
from asr_core.model.linear import Target
from asr_core.model.recognizer import NativeRecognizer
from asr_core.model.upstream import UpstreamRecognizer
from reference import eager
from reference.checkpoints import OFFICIAL, configuration, random_weights, save
from reference.upstream import as_gigaam
from tests.model.waveforms import noise, relative_error

PACKAGE_KNOWS_V3 = "subsampling" in inspect.signature(ConformerEncoder).parameters
LENGTHS = (16_000, 5_123, 401, 30_000)

Load = Callable[..., NativeRecognizer]


@pytest.fixture
def upstream(checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], UpstreamRecognizer]:
    """The package's network, of the version that knows every model, whichever is installed."""
    for module, stand_in in as_gigaam().items():
        monkeypatch.setitem(sys.modules, module, stand_in)

    def recognizer(name: str) -> UpstreamRecognizer:
        path = checkpoint(name)
        return UpstreamRecognizer(path, path.parent, torch.device("cpu"))

    return recognizer


@pytest.mark.parametrize("name", OFFICIAL)
def test_encoder_agrees_with_the_gigaam_package(
    name: str, load: Load, upstream: Callable[[str], UpstreamRecognizer]
) -> None:
    for ours, theirs in zip(load(name).encode(noise(*LENGTHS)), upstream(name).encode(noise(*LENGTHS)), strict=True):
        assert relative_error(ours, theirs) < 1e-4


@pytest.mark.parametrize("name", [name for name in OFFICIAL if name.endswith("ctc")])
def test_log_probabilities_agree_with_the_gigaam_package(
    name: str, load: Load, upstream: Callable[[str], UpstreamRecognizer]
) -> None:
    waveforms = noise(*LENGTHS)
    for ours, theirs in zip(load(name).log_probs(waveforms), upstream(name).log_probs(waveforms), strict=True):
        assert relative_error(ours, theirs) < 1e-4


@pytest.mark.parametrize("name", OFFICIAL)
def test_hypotheses_agree_with_the_gigaam_package(
    name: str, load: Load, upstream: Callable[[str], UpstreamRecognizer]
) -> None:
    waveforms = noise(*LENGTHS)
    for ours, theirs in zip(load(name).recognize(waveforms), upstream(name).recognize(waveforms), strict=True):
        assert [(t.text, t.frame) for t in ours.tokens] == [(t.text, t.frame) for t in theirs.tokens]
        assert [t.log_prob for t in ours.tokens] == pytest.approx([t.log_prob for t in theirs.tokens], abs=1e-3)
    assert any(hypothesis.tokens for hypothesis in load(name).recognize(waveforms))


@pytest.mark.parametrize("name", ["v1_ctc", "v2_ctc"])
def test_log_mels_agree_with_torchaudio(name: str, load: Load) -> None:
    torchaudio_transforms = pytest.importorskip("torchaudio.transforms")
    transform = torchaudio_transforms.MelSpectrogram(16_000, n_fft=400, win_length=400, hop_length=160, n_mels=64)
    (waveform,) = noise(33_333)
    expected = transform(waveform[None])[0].clamp(1e-9, 1e9).log().T
    assert relative_error(load(name).features(waveform), expected) < 1e-4


def test_v3_log_mels_agree_with_torchaudio(load: Load) -> None:
    torchaudio_transforms = pytest.importorskip("torchaudio.transforms")
    transform = torchaudio_transforms.MelSpectrogram(
        16_000, n_fft=320, win_length=320, hop_length=160, n_mels=64, center=False
    )
    (waveform,) = noise(33_333)
    expected = transform(waveform[None])[0].clamp(1e-9, 1e9).log().T
    assert relative_error(load("v3_ctc").features(waveform), expected) < 1e-4


def test_what_benchmarks_and_training_take_for_upstreams_network_is_it(
    checkpoint: Callable[[str], Path], upstream: Callable[[str], UpstreamRecognizer]
) -> None:
    network = eager.from_checkpoint(torch.load(checkpoint("v3_ctc"), weights_only=False))
    for waveform, theirs in zip(noise(*LENGTHS), upstream("v3_ctc").log_probs(noise(*LENGTHS)), strict=True):
        with torch.inference_mode():
            (ours,), _ = network(waveform[None], torch.tensor([len(waveform)]))
        assert relative_error(ours, theirs) < 1e-4


@pytest.mark.parametrize(("heads", "kernels"), [(16, (5, 5)), (8, (3, 31))])
def test_any_geometry_that_a_checkpoint_describes_agrees_with_the_gigaam_package(
    heads: int, kernels: tuple[int, int], upstream: Callable[[str], UpstreamRecognizer], tmp_path: Path
) -> None:
    """multilingual_large_ctc's width; how many heads it has, and kernels of which size, only its file says."""
    cfg = configuration("multilingual_large_ctc", width=1024, layers=1, heads=heads)
    cfg["encoder"] |= {"subs_kernel_size": kernels[0], "conv_kernel_size": kernels[1]}
    path = save(tmp_path, "large", cfg, random_weights(cfg))
    theirs = UpstreamRecognizer(path, tmp_path, torch.device("cpu")).log_probs(noise(*LENGTHS))
    ours = NativeRecognizer(path, tmp_path, Target(torch.device("cpu"), "fp32")).log_probs(noise(*LENGTHS))
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape[1] == 71
        assert relative_error(one, other) < 1e-4


@pytest.mark.parametrize("name", OFFICIAL)
def test_every_official_geometry_loads_and_recognises(name: str, tmp_path: Path) -> None:
    """One layer of the full width: the shapes are the official ones, only their number is not."""
    cfg = configuration(name, width=1024 if "large" in name else 768, layers=1, heads=16)
    path = save(tmp_path, name, cfg, random_weights(cfg))
    recognizer = NativeRecognizer(path, tmp_path, Target(torch.device("cpu"), "fp32"))
    (hypothesis,) = recognizer.recognize(noise(32_000))
    assert hypothesis.n_frames == 50 + name.startswith(("v1", "v2"))
    assert hypothesis.tokens


@pytest.mark.skipif(PACKAGE_KNOWS_V3, reason="the installed gigaam package knows v3")
def test_the_gigaam_engine_says_that_its_package_is_too_old_for_v3(checkpoint: Callable[[str], Path]) -> None:
    path = checkpoint("v3_ctc")
    with pytest.raises(ModelError, match="git version"):
        UpstreamRecognizer(path, path.parent, torch.device("cpu"))


def test_the_gigaam_engine_instantiates_no_class_but_gigaams(tmp_path: Path) -> None:
    cfg = configuration("v2_ctc")
    weights = random_weights(cfg)
    cfg["encoder"]["_target_"] = "os.system"
    path = save(tmp_path, "hostile", cfg, weights)
    with pytest.raises(CheckpointError, match=r"os\.system"):
        UpstreamRecognizer(path, tmp_path, torch.device("cpu"))
