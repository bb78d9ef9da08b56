"""Write the trained network as a GigaAM checkpoint: fp16 tensors and a `cfg` with upstream's keys.

python -m tools.demo_model.export --data DIR --out DIR/export/demo_ctc.ckpt
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from reference.eager import HOP_LENGTH, N_FFT, SAMPLE_RATE
from tools.demo_model.train import NETWORK, VOCABULARY, trained_weights


def config() -> DictConfig:
    """What an official v3 checkpoint's `cfg` says, for this geometry."""
    return OmegaConf.create(
        {
            "model_name": "demo",
            "model_class": "ctc",
            "sample_rate": SAMPLE_RATE,
            "preprocessor": {
                "_target_": "gigaam.preprocess.FeatureExtractor",
                "sample_rate": SAMPLE_RATE,
                "features": NETWORK.feat_in,
                "win_length": N_FFT,
                "hop_length": HOP_LENGTH,
                "mel_scale": "htk",
                "n_fft": N_FFT,
                "mel_norm": None,
                "center": False,
            },
            "encoder": {
                "_target_": "gigaam.encoder.ConformerEncoder",
                "feat_in": NETWORK.feat_in,
                "n_layers": NETWORK.n_layers,
                "d_model": NETWORK.d_model,
                "subsampling": "conv1d",
                "subs_kernel_size": NETWORK.subs_kernel_size,
                "subsampling_factor": 4,
                "ff_expansion_factor": NETWORK.ff_expansion_factor,
                "self_attention_model": "rotary",
                "pos_emb_max_len": NETWORK.pos_emb_max_len,
                "n_heads": NETWORK.n_heads,
                "conv_kernel_size": NETWORK.conv_kernel_size,
                "flash_attn": False,
                "conv_norm_type": "layer_norm",
            },
            "head": {
                "_target_": "gigaam.decoder.CTCHead",
                "feat_in": NETWORK.d_model,
                "num_classes": len(VOCABULARY) + 1,
            },
            "decoding": {"_target_": "gigaam.decoding.CTCGreedyDecoding", "vocabulary": VOCABULARY},
        }
    )


def checkpoint(data: Path, averaged: bool) -> dict[str, Any]:
    weights = {name: tensor.half() for name, tensor in trained_weights(data, averaged).items()}
    return {"cfg": config(), "state_dict": weights}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--last", action="store_true", help="the last weights rather than their moving average")
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint(arguments.data, averaged=not arguments.last), arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
