"""Our network against the networks that it stands in for, on random weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gigaam.encoder import ConformerEncoder

from asr_core.errors import CheckpointError, ModelError
from asr_core.model.recognizer import NativeRecognizer
from asr_core.model.upstream import UpstreamRecognizer
from reference import eager
from reference.checkpoints import OFFICIAL, configuration, random_weights, save
from tests.model.waveforms import noise, relative_error

PACKAGE_KNOWS_V3 = "subsampling" in inspect.signature(ConformerEncoder).parameters
KNOWN = [name for name in OFFICIAL if PACKAGE_KNOWS_V3 or not name.startswith("v3")]
LENGTHS = (16_000, 5_123, 401, 30_000)

Load = Callable[..., NativeRecognizer]


@pytest.fixture(scope="module")
def upstream(checkpoint: Callable[[str], Path]) -> Callable[[str], UpstreamRecognizer]:
    def recognizer(name: str) -> UpstreamRecognizer:
        path = checkpoint(name)
        return UpstreamRecognizer(path, path.parent, torch.device("cpu"))

    return recognizer


@pytest.mark.parametrize("name", KNOWN)
def test_encoder_agrees_with_the_gigaam_package(
    name: str, load: Load, upstream: Callable[[str], UpstreamRecognizer]
) -> None:
    for ours, theirs in zip(load(name).encode(noise(*LENGTHS)), upstream(name).encode(noise(*LENGTHS)), strict=True):
        assert relative_error(ours, theirs) < 1e-4


@pytest.mark.parametrize("name", [name for name in KNOWN if name.endswith("ctc")])
def test_log_probabilities_agree_with_the_gigaam_package(
    name: str, load: Load, upstream: Callable[[str], UpstreamRecognizer]
) -> None:
    waveforms = noise(*LENGTHS)
    for ours, theirs in zip(load(name).log_probs(waveforms), upstream(name).log_probs(waveforms), strict=True):
        assert relative_error(ours, theirs) < 1e-4


@pytest.mark.parametrize("name", KNOWN)
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


def test_v3_agrees_with_plain_eager_torch(checkpoint: Callable[[str], Path], load: Load) -> None:
    path = checkpoint("v3_ctc")
    document = torch.load(path, weights_only=False)
    reference = eager.from_checkpoint(document).eval()
    for waveform, ours in zip(noise(*LENGTHS), load("v3_ctc").log_probs(noise(*LENGTHS)), strict=True):
        with torch.inference_mode():
            theirs, _ = reference(waveform[None], torch.tensor([len(waveform)]))
        assert relative_error(ours, theirs[0]) < 1e-4


@pytest.mark.parametrize("name", OFFICIAL)
def test_every_official_geometry_loads_and_recognises(name: str, tmp_path: Path) -> None:
    """One layer of the full width: the shapes are the official ones, only their number is not."""
    cfg = configuration(name, width=768, layers=1, heads=16)
    path = save(tmp_path, name, cfg, random_weights(cfg))
    from asr_core.model.linear import Target  # noqa: PLC0415

    recognizer = NativeRecognizer(path, tmp_path, Target(torch.device("cpu"), "fp32"))
    (hypothesis,) = recognizer.recognize(noise(32_000))
    assert hypothesis.n_frames == 50 + (not name.startswith("v3"))
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
