"""What a recogniser promises, whatever its model: batches are exact, nothing is remembered, nothing is NaN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_core.errors import ModelError
from asr_core.model.heads import RnntHead
from asr_core.model.linear import bf16_is_native
from asr_core.model.recognizer import NativeRecognizer, load_recognizer
from asr_core.model.weights import DEMO
from asr_core.types import Precision
from reference.checkpoints import OFFICIAL
from tests.model.waveforms import noise

Load = Callable[..., NativeRecognizer]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8") if bf16_is_native() else ("fp32", "int8")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["v1_ctc", "v2_ctc", "v3_ctc"])
def test_a_waveform_alone_and_beside_one_25_times_as_long_gives_the_same(
    name: str, precision: Precision, load: Load
) -> None:
    recognizer = load(name, precision)
    short, long = noise(16_000, 400_000)
    (alone,) = recognizer.log_probs([short])
    beside, other = recognizer.log_probs([short, long])
    torch.testing.assert_close(alone, beside, rtol=0, atol=1e-4)
    assert torch.isfinite(alone).all()
    assert torch.isfinite(other).all()
    assert recognizer.recognize([short])[0] == recognizer.recognize([long, short])[1]


@pytest.mark.parametrize("name", OFFICIAL)
def test_short_after_long_and_long_after_short_change_nothing(name: str, load: Load) -> None:
    recognizer, fresh = load(name), load(name)
    short, long = noise(9_000, 40_000)
    first = recognizer.recognize([short])
    recognizer.recognize([long])
    assert recognizer.recognize([short]) == first
    assert fresh.recognize([long]) == recognizer.recognize([long])


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(0, 20_000), min_size=1, max_size=4), seed=st.integers(0, 2**16))
def test_hypotheses_do_not_depend_on_their_batch(load: Load, lengths: list[int], seed: int) -> None:
    recognizer = load("v3_rnnt")
    waveforms = noise(*lengths, seed=seed)
    assert recognizer.recognize(waveforms) == [recognizer.recognize([waveform])[0] for waveform in waveforms]


@pytest.mark.parametrize("length", [0, 1, 100, 319, 320, 401])
@pytest.mark.parametrize("name", ["v1_ctc", "v2_rnnt", "v3_ctc"])
def test_a_waveform_shorter_than_a_window_is_heard_as_one_frame(name: str, length: int, load: Load) -> None:
    (hypothesis,) = load(name).recognize(noise(length))
    assert hypothesis.n_frames == 1


@pytest.mark.parametrize("precision", PRECISIONS)
def test_silence_and_clipping_give_finite_results(precision: Precision, load: Load) -> None:
    recognizer = load("v3_ctc", precision)
    for waveform in (torch.zeros(16_000), torch.ones(16_000), torch.ones(16_000).copysign(torch.randn(16_000))):
        assert torch.isfinite(recognizer.log_probs([waveform])[0]).all()


def test_the_prediction_network_runs_once_for_each_emission_and_once_to_begin(load: Load) -> None:
    recognizer = load("v2_rnnt")
    calls: list[int] = []
    predict = RnntHead.predict

    def counting(self: RnntHead, label: int, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(label)
        return predict(self, label, state)

    with patch.object(RnntHead, "predict", counting):
        (hypothesis,) = recognizer.recognize(noise(30_000))
    assert len(hypothesis.tokens) > 10
    assert len(calls) == len(hypothesis.tokens) + 1


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_demo_model_reads_its_sample(precision: str, sample: torch.Tensor, sample_text: str) -> None:
    recognizer = load_recognizer("demo", precision=precision)
    assert recognizer.recognize([sample])[0].text == sample_text


def test_a_checkpoint_is_loaded_by_its_path(sample: torch.Tensor, sample_text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.ckpt"
    path.write_bytes(DEMO.read_bytes())
    assert load_recognizer(str(path)).recognize([sample])[0].text == sample_text


def test_an_rnnt_has_no_log_probabilities_to_give(load: Load) -> None:
    with pytest.raises(ModelError, match="RNN-T"):
        load("v3_rnnt").log_probs(noise(16_000))
