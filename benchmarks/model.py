"""The model that is measured: the official network with random weights, or somebody's real ones.

Speed and memory do not depend on what the weights are, with one exception: how much text comes out. A random network
would emit a label on every frame or on none, so its blank is biased until it speaks as fast as people do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr_core.cli import sample
from asr_core.model.checkpoint import read_checkpoint
from asr_core.model.heads import RnntHead
from asr_core.model.weights import WeightsStore, resolve
from asr_core.types import SAMPLE_RATE
from reference import eager
from reference.checkpoints import configuration, random_weights, save

OFFICIAL_SIZE = {"width": 768, "layers": 16, "heads": 16, "hidden": 320}
LARGE_SIZE = {"width": 1024, "layers": 24, "heads": 16}
"""Of multilingual_large_ctc; its number of heads is not published, and changes neither weights nor products."""
RANDOM = {"random": ("v3_ctc", OFFICIAL_SIZE), "random_large": ("multilingual_large_ctc", LARGE_SIZE)}

CHARACTERS_PER_S = 15.0
"""Of fluent Russian speech, spaces included."""
SPACES = 1 / 6
"""Share of these that are spaces."""
CALIBRATION_S = 20


def random_label(name: str) -> str:
    """What is written above the results of random weights with the sizes of the model `name`."""
    return f"random weights, {name}'s sizes"


def prepare(model: str, folder: Path, models_dir: Path) -> Path:
    """The .ckpt of `model`: of `RANDOM`, an official name (downloaded if it is not in `models_dir`), or a path."""
    if model not in RANDOM:
        return resolve(model, WeightsStore(models_dir))
    name, sizes = RANDOM[model]
    cfg = configuration(name, **sizes)
    weights = random_weights(cfg)
    make_talkative(cfg, weights)
    return save(folder, f"random_{name}", cfg, weights)


def random_rnnt(like: Path, folder: Path) -> Path:
    """A random v3_rnnt whose encoder has the sizes of the checkpoint `like`. Its blank is not biased yet."""
    encoder = read_checkpoint(like, like.parent).config.encoder
    sizes = {"width": encoder.d_model, "layers": encoder.n_layers, "heads": encoder.n_heads}
    cfg = configuration("v3_rnnt", **sizes, hidden=OFFICIAL_SIZE["hidden"])
    return save(folder, "random_v3_rnnt", cfg, random_weights(cfg))


def load_eager(path: Path) -> eager.EagerCTC:
    """The baseline with the weights of a v3 CTC checkpoint."""
    checkpoint = read_checkpoint(path, path.parent)
    return eager.from_checkpoint({"cfg": checkpoint.cfg, "state_dict": checkpoint.tensors.by_name})


@torch.inference_mode()
def make_talkative(cfg: dict[str, Any], weights: dict[str, Tensor]) -> None:
    """Bias the CTC head so that the sample recording yields words, of various letters, at the rate of speech."""
    network = eager.from_checkpoint({"cfg": cfg, "state_dict": weights})
    wave = sample.waveform(CALIBRATION_S * SAMPLE_RATE)
    log_probs = network(wave[None], torch.tensor([len(wave)]))[0][0]  # [T, V], as good as logits here
    space, blank = cfg["decoding"]["vocabulary"].index(" "), log_probs.shape[1] - 1
    letters = [label for label in range(blank) if label != space]
    bias = -log_probs.mean(0)  # or one label would win everywhere
    centred = log_probs + bias
    bias[space] += (centred[:, letters].amax(1) - centred[:, space]).quantile(SPACES)

    def characters(blank_bias: float) -> int:
        bias[blank] = blank_bias
        winners = torch.unique_consecutive((log_probs + bias).argmax(1))
        return int((winners != blank).sum())

    bias[blank] = bisect(characters, round(CHARACTERS_PER_S * CALIBRATION_S))
    weights["head.decoder_layers.0.bias"] += bias


@torch.inference_mode()
def rnnt_blank_bias(head: RnntHead, encoded: Tensor, tokens: int) -> float:
    """What to add to the blank's bias for a random RNN-T to emit about `tokens` labels for `encoded` [T, D]."""
    own = float(head.out_bias[head.blank])

    def emitted(blank_bias: float) -> int:
        head.out_bias[head.blank] = own + blank_bias
        return len(head.decode(encoded))

    found = bisect(emitted, tokens)
    head.out_bias[head.blank] = own
    return found


def bisect(emitted: Callable[[float], int], wanted: int, limit: float = 30.0, steps: int = 12) -> float:
    """The bias within ±`limit` at which about `wanted` labels are emitted; the higher it is, the fewer they are."""
    low, high = -limit, limit
    for _ in range(steps):
        middle = (low + high) / 2
        if emitted(middle) > wanted:
            low = middle
        else:
            high = middle
    return high
