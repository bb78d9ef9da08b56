from __future__ import annotations

import warnings

import pytest
import torch

from asr_core.audio.vad import SileroNetwork


@pytest.fixture(scope="session")
def network() -> SileroNetwork:
    return SileroNetwork.load()


@pytest.fixture(scope="session")
def silero() -> torch.nn.Module:
    """Silero's own model from its own package: the oracle."""
    n_threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from silero_vad import load_silero_vad  # noqa: PLC0415  # importing it changes torch's thread count

        model = load_silero_vad()
    torch.set_num_threads(n_threads)
    assert isinstance(model, torch.nn.Module)
    return model
