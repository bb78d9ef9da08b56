"""The voice encoder against the same network written out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from torchaudio.functional import melscale_fbanks  # type: ignore[import-untyped]  # published without types

from asr_core.speakers.clustering import packed
from asr_core.speakers.encoder import ENCODERS, HIDDEN, HOP, N_FFT, N_MELS, WEIGHTS, WINDOW, WINDOW_FRAMES, mel_filters
from asr_core.types import INT16_SCALE, Pcm
from tests.engine.engines import SAMPLE, read

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def weights() -> dict[str, Array]:
    with np.load(WEIGHTS) as tensors:
        return {name: tensors[name].astype(np.float64) for name in tensors.files}


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def lstm(steps: Array, weights: dict[str, Array], layer: int) -> Array:
    """[F, N] → [F, HIDDEN], gate by gate."""
    hidden, cell = np.zeros(HIDDEN), np.zeros(HIDDEN)
    outputs = []
    for step in steps:
        gates = weights[f"lstm.weight_ih_l{layer}"] @ step + weights[f"lstm.bias_ih_l{layer}"]
        gates += weights[f"lstm.weight_hh_l{layer}"] @ hidden + weights[f"lstm.bias_hh_l{layer}"]
        enter, keep, new, out = np.split(gates, 4)
        cell = sigmoid(keep) * cell + sigmoid(enter) * np.tanh(new)
        hidden = sigmoid(out) * np.tanh(cell)
        outputs.append(hidden)
    return np.array(outputs)


def written_out(window: Pcm, weights: dict[str, Array]) -> Array:
    """Resemblyzer's recipe for 1.6 s of sound."""
    wave = window / INT16_SCALE
    wave = wave * max(1.0, 10 ** (-30 / 20) / np.sqrt(np.mean(wave**2)))
    padded = np.pad(wave, N_FFT // 2)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    frames = np.array([padded[n * HOP : n * HOP + N_FFT] * hann for n in range(WINDOW_FRAMES)])
    steps = np.abs(np.fft.rfft(frames)) ** 2 @ mel_filters().astype(np.float64)
    for layer in range(3):
        steps = lstm(steps, weights, layer)
    raw = np.maximum(weights["linear.weight"] @ steps[-1] + weights["linear.bias"], 0)
    return np.asarray(raw / np.linalg.norm(raw))


def test_voiceprints_are_those_of_the_network_written_out(weights: dict[str, Array]) -> None:
    sound, starts = read(SAMPLE), [8000, 40_000]
    prints = ENCODERS["resemblyzer"]().embed(sound, starts)
    for start, found in zip(starts, prints, strict=True):
        np.testing.assert_allclose(found, written_out(sound[start : start + WINDOW], weights), atol=2e-4)


def test_the_mel_filters_are_slaneys() -> None:
    expected = melscale_fbanks(N_FFT // 2 + 1, 0.0, 8000.0, N_MELS, 16_000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(mel_filters(), expected.numpy(), atol=1e-6)


def test_a_voiceprint_does_not_depend_on_its_company() -> None:
    network, sound = ENCODERS["resemblyzer"](), read(SAMPLE)
    together = network.embed(sound, [0, 12_800, 25_600])
    alone = np.concatenate([network.embed(sound, [start]) for start in (0, 12_800, 25_600)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert network.embed(sound, []).shape == (0, HIDDEN)


def test_voiceprints_that_are_kept_are_those_that_were_made() -> None:
    made = ENCODERS["resemblyzer"]().embed(read(SAMPLE), range(0, 160_000, 12_800))
    kept = packed(made).astype(np.float64)
    cosines = (made * kept).sum(axis=1) / np.linalg.norm(kept, axis=1)
    assert cosines.min() > 0.999
