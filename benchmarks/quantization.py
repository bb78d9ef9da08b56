"""What int8 costs and gains by where it is used: `python -m benchmarks.quantization`, a table in Markdown.

Difference and time are of the official network with random weights, 20 s of the bundled recording; the word error rate
is the bundled model's on held-out sentences, for which espeak-ng and festival have to be installed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from asr_core.cli import sample
from asr_core.model.cpu import available_cores
from asr_core.model.int8 import Int8Linear
from asr_core.model.linear import Target
from asr_core.model.recognizer import NativeRecognizer
from asr_core.model.weights import DEMO
from asr_core.types import SAMPLE_RATE
from benchmarks.model import prepare
from benchmarks.timing import in_turns
from tools.demo_model.evaluate import hear
from tools.demo_model.recordings import HELD_OUT_SEED, Recording, held_out, speak
from tools.demo_model.scoring import total

CPU = torch.device("cpu")
CHUNK_S = 20
Change = Callable[[NativeRecognizer, NativeRecognizer], None]
"""Takes an int8 network and a bf16 one with the same weights, and changes the first."""


class OneScale:
    """As `Int8Linear` without compiled kernels: one scale for all frames."""

    def __init__(self, layer: Int8Linear) -> None:
        self.layer = layer

    def __call__(self, x: Tensor) -> Tensor:
        return self.layer.by_recording(x)


def one_scale(int8: NativeRecognizer, bf16: NativeRecognizer) -> None:
    for layer in int8.encoder.layers:
        for part in (layer.feed_forward1, layer.feed_forward2, layer.self_attn, layer.conv):
            for name, value in vars(part).items():
                if isinstance(value, Int8Linear):
                    setattr(part, name, OneScale(value))


def without(*names: str) -> Change:
    """Leave these parts of every layer in bf16."""

    def change(int8: NativeRecognizer, bf16: NativeRecognizer) -> None:
        for layer, exact in zip(int8.encoder.layers, bf16.encoder.layers, strict=True):
            for name in names:
                setattr(layer, name, getattr(exact, name))

    return change


VARIANTS: dict[str, Change] = {
    "all linear layers, a scale for each frame": lambda int8, bf16: None,
    "the same, a scale for each recording": one_scale,
    "attention's projections in bf16": without("self_attn"),
    "convolution modules in bf16": without("conv"),
    "feed-forward in bf16": without("feed_forward1", "feed_forward2"),
}


def network(checkpoint: Path, change: Change) -> NativeRecognizer:
    int8, bf16 = (NativeRecognizer(checkpoint, checkpoint.parent, Target(CPU, p)) for p in ("int8", "bf16"))
    change(int8, bf16)
    return int8


def row(name: str, recognizer: NativeRecognizer, exact: Tensor, seconds: float, heard: str) -> str:
    (approximate,) = recognizer.log_probs([sample.waveform(CHUNK_S * SAMPLE_RATE)])
    error = float((approximate - exact).norm() / exact.norm())
    return f"| {name} | {error:.2%} | {seconds / CHUNK_S:.4f} | {heard} |"


def word_error_rate(change: Change | None, recordings: list[Recording]) -> str:
    """Of the bundled model; None for fp32."""
    fp32 = NativeRecognizer(DEMO, DEMO.parent, Target(CPU, "fp32"))
    recognizer = network(DEMO, change) if change else fp32
    return f"{total([recording.label for recording in recordings], hear(recognizer, recordings)).wer:.2%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=300, help="by espeak-ng's variants, and as many by festival")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds for the comparison of times")
    options = parser.parse_args()
    torch.set_num_threads(available_cores())
    sentences = held_out(HELD_OUT_SEED + 3, options.sentences)
    recordings = [recording for kind in ("variants", "festival") for recording in speak(kind, sentences, HELD_OUT_SEED)]
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = prepare("random", Path(folder), Path(folder))
        networks = {name: network(checkpoint, change) for name, change in VARIANTS.items()}
        networks["nothing, bf16"] = NativeRecognizer(checkpoint, checkpoint.parent, Target(CPU, "bf16"))
        wave = sample.waveform(CHUNK_S * SAMPLE_RATE)
        (exact,) = NativeRecognizer(checkpoint, checkpoint.parent, Target(CPU, "fp32")).log_probs([wave])
        times = in_turns({name: partial(each.log_probs, [wave]) for name, each in networks.items()}, options.budget)
        print("| in int8 | difference of log-probabilities from fp32 | RTF | WER of the bundled model |")
        print("|---|---|---|---|")
        for name, recognizer in networks.items():
            heard = word_error_rate(VARIANTS[name], recordings) if name in VARIANTS else "–"
            print(row(name, recognizer, exact, min(times[name]), heard), flush=True)
        print(f"\nIn fp32 the bundled model's WER is {word_error_rate(None, recordings)}.")


if __name__ == "__main__":
    main()
