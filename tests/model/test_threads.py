"""Threads inside torch do not show in what is heard."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from asr_core.model.recognizer import load_recognizer
from asr_core.model.threads import two_are_exact, using_threads
from tests.model.waveforms import noise


def test_a_computation_that_shows_its_threads_is_found_out() -> None:
    def honest(frames: int) -> Tensor:
        return torch.arange(frames)

    def showing(frames: int) -> Tensor:
        return torch.arange(frames) + (torch.get_num_threads() if frames > 500 else 0)

    assert two_are_exact(honest)
    assert not two_are_exact(showing)


def test_threads_are_given_back_whatever_happens() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), using_threads(before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_where_two_threads_are_said_to_be_exact_they_are(precision: str) -> None:
    recognizer = load_recognizer("demo", precision=precision)
    if not recognizer.two_threads_are_exact():
        pytest.skip("one thread it is, on this machine")
    for waveform in noise(1_600, 16_000, 30_001, 88_888, 178_013, 399_999):
        with using_threads(1):
            alone = recognizer.log_probs([waveform])[0]
        with using_threads(2):
            assert torch.equal(recognizer.log_probs([waveform])[0], alone)
