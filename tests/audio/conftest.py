from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch

from asr_core.audio.vad import SileroNetwork


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """The networks here are too small to be worth a second thread."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="session")
def network() -> SileroNetwork:
    return SileroNetwork.load()


@pytest.fixture(scope="session")
def silero() -> torch.nn.Module:
    """Silero's own model from its own package: the oracle."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from silero_vad import load_silero_vad  # noqa: PLC0415  # importing it sets torch's threads: in our scope only

        model = load_silero_vad()
    assert isinstance(model, torch.nn.Module)
    return model
