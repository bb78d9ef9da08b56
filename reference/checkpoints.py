"""Checkpoints of the official architectures with random weights, in the official file format; small unless asked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from sentencepiece import SentencePieceTrainer
from torch import Tensor

from asr_core.types import OFFICIAL_MODELS
from reference.upstream import upstream

CHARACTERS = [" ", *(chr(code) for code in range(ord("а"), ord("я") + 1))]
MULTILINGUAL = [*CHARACTERS, "ё", *"әғқңөұүһі", *(chr(code) for code in range(ord("a"), ord("z") + 1)), "'"]
"""Seventy, as many as the multilingual models have; which they are exactly is in those models' files alone."""
OFFICIAL = OFFICIAL_MODELS
PIECES = 64
"""Labels of the tokenizers made here; the official ones have 256 to 1024."""

_WITH_TOKENIZER = ("v1_rnnt", "v3_e2e_ctc", "v3_e2e_rnnt")
_SENTENCES = """
Мороз и солнце, день чудесный! Ещё ты дремлешь, друг прелестный? Пора, красавица, проснись.
Открой сомкнуты негой взоры навстречу северной Авроры, звездою севера явись!
Вечор, ты помнишь, вьюга злилась, на мутном небе мгла носилась; луна, как бледное пятно.
"""


def configuration(name: str, *, width: int = 96, layers: int = 2, heads: int = 4, hidden: int = 64) -> dict[str, Any]:
    """`cfg` of the official model `name`, its network scaled to `layers` of `width`, an RNN-T's own parts to `hidden`.

    The official sizes are 768, 16, 16 and 320; multilingual_large_ctc has 24 layers of 1024.
    """
    multilingual, rnnt = name.startswith("multilingual"), name.endswith("rnnt")
    v3 = name.startswith("v3") or multilingual
    characters = MULTILINGUAL if multilingual else CHARACTERS
    labels = PIECES if name in _WITH_TOKENIZER else len(characters)
    encoder = {
        "_target_": "gigaam.encoder.ConformerEncoder",
        "feat_in": 64,
        "n_layers": layers,
        "d_model": width,
        "subsampling_factor": 4,
        "ff_expansion_factor": 4,
        "self_attention_model": "rel_pos" if name.startswith("v1") else "rotary",
        "pos_emb_max_len": 5000,
        "n_heads": heads,
        "conv_kernel_size": 5 if v3 else 31,
        "flash_attn": False,
    }
    if v3:
        encoder |= {"subsampling": "conv1d", "subs_kernel_size": 5, "conv_norm_type": "layer_norm"}
    preprocessor = {"_target_": "gigaam.preprocess.FeatureExtractor", "sample_rate": 16_000, "features": 64}
    if v3:
        preprocessor |= {"win_length": 320, "hop_length": 160, "n_fft": 320, "center": False}
        preprocessor |= {"mel_scale": "htk", "mel_norm": None}
    ctc_head = {"_target_": "gigaam.decoder.CTCHead", "feat_in": width, "num_classes": labels + 1}
    decoder = {"pred_hidden": hidden, "pred_rnn_layers": 1, "num_classes": labels + 1}
    joint = {"enc_hidden": width, "pred_hidden": hidden, "joint_hidden": hidden, "num_classes": labels + 1}
    rnnt_head = {"_target_": "gigaam.decoder.RNNTHead", "decoder": decoder, "joint": joint}
    decoding: dict[str, Any] = {"_target_": f"gigaam.decoding.{'RNNT' if rnnt else 'CTC'}GreedyDecoding"}
    if name in _WITH_TOKENIZER:
        decoding |= {"vocabulary": None, "model_path": "/home/somebody/tokenizer.model"}
    else:
        decoding |= {"vocabulary": characters}
    return {
        "model_class": "rnnt" if rnnt else "ctc",
        "sample_rate": 16_000,
        "preprocessor": preprocessor,
        "encoder": encoder,
        "head": rnnt_head if rnnt else ctc_head,
        "decoding": decoding,
        "model_name": name,
    }


def random_weights(cfg: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """A state_dict that fits `cfg`, by upstream's names; lively enough for greedy decoding to emit many labels."""
    torch.manual_seed(seed)
    preprocessor, encoder, head = (
        {key: value for key, value in cfg[part].items() if key != "_target_"}
        for part in ("preprocessor", "encoder", "head")
    )
    heads = upstream("decoder")
    modules = {
        "preprocessor": upstream("preprocess").FeatureExtractor(**preprocessor),
        "encoder": upstream("encoder").ConformerEncoder(**encoder),
        "head": (heads.RNNTHead if "decoder" in head else heads.CTCHead)(**head),
    }
    state = {f"{part}.{key}": value for part, module in modules.items() for key, value in module.state_dict().items()}
    return {key: _lively(key, value) for key, value in state.items()}


def _lively(name: str, tensor: Tensor) -> Tensor:
    """Replace what is constant in a fresh network, so that mixing it up would be noticed."""
    if name.endswith("running_var"):
        return torch.rand_like(tensor) + 0.5
    if name.endswith(("running_mean", "pos_bias_u", "pos_bias_v")):
        return torch.randn_like(tensor)
    if ".norm_" in name or "batch_norm" in name:
        return tensor + 0.1 * torch.randn_like(tensor) if tensor.is_floating_point() else tensor
    if "joint_net" in name or "decoder_layers" in name:
        return 4 * tensor
    return tensor


def save(folder: Path, name: str, cfg: dict[str, Any], weights: dict[str, Tensor]) -> Path:
    """Write `name`.ckpt, and a tokenizer beside it where the model has one."""
    path = folder / f"{name}.ckpt"
    torch.save({"cfg": OmegaConf.create(cfg), "state_dict": weights}, path)
    if cfg["decoding"]["vocabulary"] is None:
        train_tokenizer(path.with_name(f"{name}_tokenizer.model"), _SENTENCES.splitlines())
    return path


def train_tokenizer(path: Path, sentences: Iterable[str]) -> None:
    """A SentencePiece model of `PIECES` pieces."""
    with path.open("wb") as stream:
        SentencePieceTrainer.Train(
            sentence_iterator=iter(sentences), model_writer=stream, vocab_size=PIECES, minloglevel=2
        )
