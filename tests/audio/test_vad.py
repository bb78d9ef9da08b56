from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_core.audio.hysteresis import UNDECIDED_LIMIT, SpeechSpans
from asr_core.audio.vad import SileroNetwork, SpeechProbabilities, speech_spans
from asr_core.errors import ModelError
from asr_core.types import INT16_SCALE, SAMPLE_RATE, VAD_WINDOW, Pcm, Probabilities, Span, VadOptions
from tests.audio.signals import SIGNALS, in_blocks, speech

OPTION_SETS = {
    "defaults": VadOptions(),
    "strict": VadOptions(threshold=0.5, min_speech_ms=250, min_silence_ms=500, speech_pad_ms=300),
    "eager": VadOptions(threshold=0.1, min_speech_ms=0, min_silence_ms=0, speech_pad_ms=0),
    "padding wider than the pauses": VadOptions(threshold=0.7, min_speech_ms=100, min_silence_ms=40, speech_pad_ms=700),
}

option_sets = st.builds(
    VadOptions,
    threshold=st.sampled_from([0.005, 0.1, 0.25, 0.5, 0.95]),
    min_speech_ms=st.sampled_from([0, 32, 64, 96, 250, 1000]),
    min_silence_ms=st.sampled_from([0, 32, 100, 500]),
    speech_pad_ms=st.sampled_from([0, 8, 16, 30, 33, 100, 1000]),
)

runs = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.005, 0.009, 0.05, 0.11, 0.2, 0.25, 0.3, 0.4, 0.6, 1.0]),
        st.integers(1, 4) | st.integers(1, 40),
    ),
    max_size=25,
)
"""Probabilities that stay the same for a while, as (probability, windows): as they do around the thresholds."""


def silero_probabilities(model: torch.nn.Module, signal: Pcm) -> Probabilities:
    """Window by window, the last one zero-padded."""
    model.reset_states()  # type: ignore[operator]  # a TorchScript method
    padded = np.concatenate((signal, np.zeros(-len(signal) % VAD_WINDOW, np.int16)))
    windows = torch.from_numpy(padded.astype(np.float32) / INT16_SCALE).reshape(-1, VAD_WINDOW)
    with torch.inference_mode():
        return np.array([model(window, SAMPLE_RATE).item() for window in windows], np.float32)


def silero_spans(probabilities: Probabilities, total: int, options: VadOptions) -> list[Span]:
    """What `get_speech_timestamps` does with the probabilities that it has computed."""
    from silero_vad import get_speech_timestamps_from_probs  # noqa: PLC0415  # see conftest

    found = get_speech_timestamps_from_probs(
        probabilities.tolist(),
        threshold=options.threshold,
        min_speech_duration_ms=options.min_speech_ms,
        min_silence_duration_ms=options.min_silence_ms,
        speech_pad_ms=options.speech_pad_ms,
        audio_length_samples=total,
    )
    return [Span(speech["start"], speech["end"]) for speech in found]


def our_probabilities(network: SileroNetwork, blocks: list[Pcm]) -> Probabilities:
    stream = SpeechProbabilities(network)
    return np.concatenate([*(stream.push(block) for block in blocks), stream.flush()])


@pytest.fixture(scope="module")
def reference(silero: torch.nn.Module) -> dict[str, Probabilities]:
    return {name: silero_probabilities(silero, signal) for name, signal in SIGNALS.items()}


@pytest.mark.parametrize("name", SIGNALS)
def test_probabilities_are_silero_s_own(name: str, network: SileroNetwork, reference: dict[str, Probabilities]) -> None:
    ours = our_probabilities(network, [SIGNALS[name]])
    assert ours.shape == reference[name].shape
    np.testing.assert_allclose(ours, reference[name], atol=1e-4)


@pytest.mark.parametrize("options", OPTION_SETS.values(), ids=OPTION_SETS)
@pytest.mark.parametrize("name", SIGNALS)
def test_spans_are_those_of_get_speech_timestamps(
    name: str, options: VadOptions, network: SileroNetwork, reference: dict[str, Probabilities]
) -> None:
    signal, spans = SIGNALS[name], SpeechSpans(options)
    ours = spans.push(our_probabilities(network, [signal])) + spans.flush(len(signal))
    assert ours == silero_spans(reference[name], len(signal), options)


def test_the_signals_hold_speech_to_find_and_none_where_there_is_none(reference: dict[str, Probabilities]) -> None:
    found = {name: len(silero_spans(reference[name], len(SIGNALS[name]), VadOptions())) for name in SIGNALS}
    assert found["talk with pauses"] > 10
    assert found["speech"] > 1
    assert found["silence"] == found["empty"] == 0


FORMS: dict[str, Callable[[Pcm], Pcm | torch.Tensor]] = {
    "int16 array": lambda pcm: pcm,
    "int16 tensor": torch.tensor,
    "float tensor": lambda pcm: torch.from_numpy(pcm / np.float32(INT16_SCALE)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_speech_spans_takes_arrays_and_tensors(
    form: Callable[[Pcm], Pcm | torch.Tensor], silero: torch.nn.Module
) -> None:
    from silero_vad import get_speech_timestamps  # noqa: PLC0415  # see conftest

    signal = speech()
    wanted = get_speech_timestamps(torch.from_numpy(signal / np.float32(INT16_SCALE)), silero, threshold=0.4)
    found = speech_spans([form(signal[:30_000]), form(signal[30_000:])], threshold=0.4)
    assert list(found) == [Span(span["start"], span["end"]) for span in wanted]


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0), max_size=30))
def test_probabilities_are_bit_for_bit_the_same_whatever_the_blocks(network: SileroNetwork, cuts: list[int]) -> None:
    signal = SIGNALS["talk with pauses"][: 12 * SAMPLE_RATE + 5]
    assert (
        our_probabilities(network, in_blocks(signal, cuts)).tobytes() == our_probabilities(network, [signal]).tobytes()
    )


@settings(max_examples=300, deadline=None)
@given(runs=runs, options=option_sets, last=st.integers(1, VAD_WINDOW), cuts=st.lists(st.integers(0), max_size=10))
def test_any_probabilities_in_any_pieces_give_silero_s_spans(
    runs: list[tuple[float, int]], options: VadOptions, last: int, cuts: list[int]
) -> None:
    values = np.array([value for value, length in runs for _ in range(length)], np.float32)
    total = max(len(values) * VAD_WINDOW - VAD_WINDOW + last, 0) if len(values) else 0
    spans = SpeechSpans(options)
    found, promised = [], 0
    for piece in np.split(values, sorted(cut % (len(values) + 1) for cut in cuts)):
        found += spans.push(piece)
        assert spans.earliest >= promised, "what was said of later spans did not hold"
        promised = spans.earliest
        assert all(span.end <= promised for span in found)
    found += spans.flush(total)
    assert found == silero_spans(values, total, options)
    assert all(before.end <= after.start for before, after in pairwise(found))


@settings(max_examples=200, deadline=None)
@given(runs=runs, options=option_sets)
def test_speech_that_is_announced_as_open_becomes_a_span_that_reaches_as_far(
    runs: list[tuple[float, int]], options: VadOptions
) -> None:
    spans, found, announced = SpeechSpans(options), [], []
    for value, length in runs:
        found += spans.push(np.full(length, value, np.float32))
        announced += [spans.open] if spans.open else []
    found += spans.flush(VAD_WINDOW * sum(length for _, length in runs))
    for begun in announced:
        assert any(span.start == begun.start and span.end >= begun.end for span in found)


def test_a_span_is_out_soon_after_its_speech_ended() -> None:
    spans = SpeechSpans(VadOptions())
    talk = np.array([0.9] * 50 + [0.0] * 5, np.float32)
    assert [span.end for span in spans.push(talk)] == [50 * VAD_WINDOW + 30 * SAMPLE_RATE // 1000]


def test_a_minute_that_is_neither_speech_nor_silence_ends_the_speech_before_it() -> None:
    spans = SpeechSpans(VadOptions())
    undecided = np.full(UNDECIDED_LIMIT // VAD_WINDOW + 1, 0.2, np.float32)
    assert spans.push(np.array([0.9] * 50 + [0.0], np.float32)) == []
    assert len(spans.push(undecided)) == 1


def test_loading_the_network_neither_imports_silero_vad_nor_changes_torch_s_threads_nor_its_random_numbers() -> None:
    script = """
import sys, torch
torch.set_num_threads(3)
torch.manual_seed(1)
expected = torch.rand(1)
torch.manual_seed(1)
from asr_core.audio.vad import SileroNetwork
SileroNetwork.load()
assert torch.get_num_threads() == 3, torch.get_num_threads()
assert torch.rand(1) == expected
assert "silero_vad" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("content", [None, b"", b"not TorchScript"])
def test_a_package_without_the_weights_is_a_model_error(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "silero_vad"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").touch()
    if content is not None:
        (package / "data" / "silero_vad.jit").write_bytes(content)
    monkeypatch.delitem(sys.modules, "silero_vad", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match="Silero VAD 6"):
        SileroNetwork.load()


def test_a_package_whose_network_does_not_begin_with_a_fourier_transform_is_a_model_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data := tmp_path / "silero_vad" / "data").mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        installed = find_spec("silero_vad")
        assert installed is not None
        assert installed.origin is not None
        weights = Path(installed.origin).parent / "data" / "silero_vad.jit"
        script = torch.jit.load(str(weights))  # type: ignore[no-untyped-call]  # untyped in torch
        script._model.stft.forward_basis_buffer[7] *= 1.001
        torch.jit.save(script, str(data / "silero_vad.jit"))
    monkeypatch.delitem(sys.modules, "silero_vad", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match="Silero VAD 6"):
        SileroNetwork.load()
