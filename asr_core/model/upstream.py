"""The recogniser's interface over the `gigaam` package itself: the reference that our network is compared with.

Every waveform goes through alone, since some releases of the package let padding leak into the shorter ones of a batch.
The release on PyPI knows v1 and v2; v3 needs the package from its git repository.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from asr_core.errors import CheckpointError, ModelError
from asr_core.model.checkpoint import read_checkpoint
from asr_core.model.glossary import Glossary, glossary
from asr_core.model.heads import MAX_SYMBOLS, ctc_greedy
from asr_core.model.parts import CtcHeadConfig
from asr_core.model.tokenizer import languages_of, speller, vocabulary
from asr_core.model.trie import Alphabet
from asr_core.types import Hypothesis, KeywordsSpelling, Spelling, Token

# The package instantiates whatever class a checkpoint's `_target_` names: only its own may be named.
_TARGETS = frozenset(
    {
        "gigaam.preprocess.FeatureExtractor",
        "gigaam.encoder.ConformerEncoder",
        "gigaam.decoder.CTCHead",
        "gigaam.decoder.RNNTHead",
        "gigaam.decoding.CTCGreedyDecoding",
        "gigaam.decoding.RNNTGreedyDecoding",
    }
)


class UpstreamRecognizer:
    """gigaam's modules, called one by one: features, encoder, head."""

    def __init__(self, checkpoint: Path, models_dir: Path, device: torch.device) -> None:
        parts = read_checkpoint(checkpoint, models_dir)
        self.device, self.precision, self.precision_reason = device.type, "fp32", "the gigaam package has no other"
        self.kernels = "torch"
        self._device = device
        self._labels = vocabulary(parts.config.decoding.vocabulary, parts.tokenizer)
        self.languages = languages_of(self._labels)
        self._speller = speller(parts.config.decoding.vocabulary, parts.tokenizer)
        self._is_ctc = isinstance(parts.config.head, CtcHeadConfig)
        self.hears_keywords = self._is_ctc
        self._model = _build(parts.cfg, parts.tokenizer, checkpoint.name)
        try:
            self._model.load_state_dict(parts.tensors.by_name)
        except RuntimeError as error:
            raise CheckpointError(f"{checkpoint.name} does not fit the installed gigaam package.") from error
        self._model.to(device).eval()

    @torch.inference_mode()
    def encode(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        """See `Recognizer.encode`."""
        return [self._encode(waveform)[0].T for waveform in waveforms]

    @torch.inference_mode()
    def log_probs(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        """See `Recognizer.log_probs`."""
        if not self._is_ctc:
            raise ModelError("This model is an RNN-T: it has no log-probabilities of its own for each frame.")
        return [self._model.head(encoder_output=self._encode(waveform))[0] for waveform in waveforms]

    @torch.inference_mode()
    def recognize(
        self, waveforms: Sequence[Tensor], glossaries: Sequence[Glossary | None] | None = None
    ) -> list[Hypothesis]:
        """See `Recognizer.recognize`."""
        if self._is_ctc:
            known = glossaries or [None] * len(waveforms)
            scores = zip(self.log_probs(waveforms), known, strict=True)
            return [Hypothesis(g.ctc(p) if g else ctc_greedy(p, self._labels), len(p)) for p, g in scores]
        encoded = self.encode(waveforms)
        return [Hypothesis(tuple(self._rnnt_tokens(frames)), len(frames)) for frames in encoded]

    def glossary(self, keywords: Sequence[Sequence[Spelling]], style: KeywordsSpelling) -> Glossary:
        """See `Recognizer.glossary`."""
        return glossary(keywords, Alphabet(self._labels), self._speller, style)

    def two_threads_are_exact(self) -> bool:
        """See `Recognizer.two_threads_are_exact`: of the package's own network nothing is known."""
        return False

    def _encode(self, waveform: Tensor) -> Tensor:
        """[S] → [1, D, T]."""
        length = torch.tensor([len(waveform)], device=self._device)
        features, length = self._model.preprocessor(waveform[None].to(self._device), length)
        encoded: Tensor = self._model.encoder(features, length)[0]
        return encoded

    def _rnnt_tokens(self, encoded: Tensor) -> Iterator[Token]:
        """[T, D] → tokens, running every network on every frame as upstream does."""
        head, blank = self._model.head, len(self._labels)
        label, state = None, None
        for index, frame in enumerate(encoded):
            for _ in range(MAX_SYMBOLS):
                predicted, next_state = head.decoder.predict(label, state)
                scores = head.joint.joint(frame[None, None], predicted)[0, 0, 0]
                best = int(scores.argmax())
                if best == blank:
                    break
                label, state = torch.tensor([[best]], device=self._device), next_state
                yield Token(self._labels[best], index, float(scores[best]))


def _build(cfg: dict[str, Any], tokenizer: Path | None, name: str) -> Any:
    if unknown := set(_targets(cfg)) - _TARGETS:
        raise CheckpointError(f"{name} asks for a class that is not GigaAM's: {sorted(unknown)[0]}.")
    try:
        from gigaam.model import GigaAMASR  # noqa: PLC0415 - only this engine needs the package
        from hydra.errors import InstantiationException  # noqa: PLC0415
    except ImportError as error:
        raise ModelError("ENGINE=gigaam needs the gigaam package and what it imports.") from error
    if tokenizer is not None:
        cfg = cfg | {"decoding": cfg["decoding"] | {"model_path": str(tokenizer)}}
    try:
        return GigaAMASR(OmegaConf.create(cfg))
    except InstantiationException as error:
        raise ModelError(f"The installed gigaam package does not know {name}: v3 needs its git version.") from error


def _targets(node: Any) -> Iterator[str]:
    """Every class that the configuration names, however deep."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _targets(child)
