"""Waveforms → hypotheses: the network put together from a checkpoint."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from asr_core.errors import CheckpointError, ModelError, PrecisionUnsupported
from asr_core.model import kernels
from asr_core.model.attention import fastest_form
from asr_core.model.checkpoint import read_checkpoint
from asr_core.model.conformer import Conformer
from asr_core.model.cpu import available_cores, choose_precision
from asr_core.model.download import Progress
from asr_core.model.example import example_of_speech
from asr_core.model.features import LogMel
from asr_core.model.glossary import Glossary, glossary
from asr_core.model.heads import CtcHead, RnntHead
from asr_core.model.heap import Heap, give_back
from asr_core.model.linear import Target
from asr_core.model.parts import RnntHeadConfig
from asr_core.model.threads import two_are_exact, using_threads
from asr_core.model.tokenizer import languages_of, speller, vocabulary
from asr_core.model.trie import Alphabet
from asr_core.model.weights import BASE_URL, WeightsStore, resolve
from asr_core.types import SAMPLE_RATE, Hypothesis, KeywordsSpelling, Spelling, Token

log = logging.getLogger(__name__)


class Recognizer(Protocol):
    """A loaded model. Results do not depend on what is batched together, nor on what other threads ask of it."""

    device: str
    precision: str
    precision_reason: str
    """Why it computes in that precision, in a few words."""
    languages: tuple[str, ...]
    """Codes of the languages that it knows."""
    hears_keywords: bool
    """Whether `recognize` does anything with a glossary."""
    kernels: str
    """Who computes what lies between the products, `compiled` or `torch`, and the form of attention that was chosen."""

    def encode(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        """16 kHz waveforms, float32 [S_i] in [-1, 1] → encoder frames, float32 [T_i, D]."""

    def log_probs(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        """→ log-probabilities, float32 [T_i, V], blank last. Raises ModelError for a model that is not CTC."""

    def recognize(
        self, waveforms: Sequence[Tensor], glossaries: Sequence[Glossary | None] | None = None
    ) -> list[Hypothesis]:
        """→ the most probable label at every step; where a waveform has a glossary, its keywords are worth a bonus."""

    def glossary(self, keywords: Sequence[Sequence[Spelling]], style: KeywordsSpelling) -> Glossary:
        """Keywords, each in all the ways to say it, for `recognize`."""

    def two_threads_are_exact(self) -> bool:
        """Whether two threads inside torch give the same results, bit for bit, as one does on this machine."""


class NativeRecognizer:
    """Our network over a GigaAM checkpoint."""

    def __init__(
        self, checkpoint: Path, models_dir: Path, target: Target, precision_reason: str = "as configured"
    ) -> None:
        parts = read_checkpoint(checkpoint, models_dir)
        config, tensors = parts.config, parts.tensors
        self.device: str = target.device.type
        self.precision: str = target.precision
        self.precision_reason = precision_reason
        self.hears_keywords = True
        self.kernels = "torch"
        if self.device == "cpu":
            product = "int8" if target.precision == "int8" else target.product
            self.kernels = f"{kernels.names()}, attention {fastest_form(target.dtype)}, products {product}"
        self._target = target
        labels = vocabulary(config.decoding.vocabulary, parts.tokenizer)
        self.languages = languages_of(labels)
        self._alphabet = Alphabet(labels)
        self._speller = speller(config.decoding.vocabulary, parts.tokenizer)
        self.features = LogMel(config.preprocessor, tensors.scope("preprocessor.featurizer.0"), target.device)
        with torch.inference_mode():
            example = self.features(example_of_speech()) if target.precision == "int8" else None
            self.encoder = Conformer(config.encoder, tensors.scope("encoder"), target, example)
        width, head = config.encoder.d_model, tensors.scope("head")
        self.head: CtcHead | RnntHead
        if isinstance(config.head, RnntHeadConfig):
            self.head = RnntHead(width, config.head, labels, head, target.device)
        else:
            self.head = CtcHead(width, labels, head, target.device)
        self._heap = Heap()
        if leftovers := tensors.leftovers():
            raise CheckpointError(
                f"{checkpoint.name} is of an architecture unknown here: {len(leftovers)} of its tensors "
                f"have no place in the network, {leftovers[0]} among them."
            )

    @torch.inference_mode()
    def encode(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        return [encoded.float() for encoded in self._encode(waveforms)]

    @torch.inference_mode()
    def log_probs(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        if not isinstance(self.head, CtcHead):
            raise ModelError("This model is an RNN-T: it has no log-probabilities of its own for each frame.")
        batch = self._encode(waveforms)
        with using_threads(1):
            return [self.head.log_probs(encoded) for encoded in batch]

    @torch.inference_mode()
    def recognize(
        self, waveforms: Sequence[Tensor], glossaries: Sequence[Glossary | None] | None = None
    ) -> list[Hypothesis]:
        batch = self._encode(waveforms)
        with using_threads(1):
            return [
                Hypothesis(self._decode(encoded, known), len(encoded))
                for encoded, known in zip(batch, glossaries or [None] * len(batch), strict=True)
            ]

    def glossary(self, keywords: Sequence[Sequence[Spelling]], style: KeywordsSpelling) -> Glossary:
        return glossary(keywords, self._alphabet, self._speller, style)

    def _decode(self, encoded: Tensor, known: Glossary | None) -> tuple[Token, ...]:
        if known is None:
            return self.head.decode(encoded)
        if isinstance(self.head, CtcHead):
            return known.ctc(self.head.log_probs(encoded))
        return known.rnnt(self.head, encoded)

    @torch.inference_mode()
    def two_threads_are_exact(self) -> bool:
        shallow = copy(self.encoder)
        shallow.layers = self.encoder.layers[:1]  # the others have the same shapes
        mels = self.features.filterbank.shape[1]

        def compute(frames: int) -> Tensor:
            noise = torch.randn(4 * frames, mels, generator=torch.Generator().manual_seed(frames))
            return shallow([noise.to(self._target.device)])[0]

        return two_are_exact(compute)

    def _encode(self, waveforms: Sequence[Tensor]) -> list[Tensor]:
        # Features, like decoding, are small products and many small steps. Several threads would cost them more in
        # meeting each other than they do, and MKL adds up in another order with them.
        with using_threads(1):
            features = [self.features(waveform.to(self._target.device)) for waveform in waveforms]
        encoded = self.encoder(features)
        self._heap.heard(sum(map(len, encoded)))
        return encoded


def load_recognizer(  # noqa: PLR0913 - the configuration's knobs, each by name
    model: str,
    *,
    precision: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    models_dir: Path | None = None,
    models_url: str = "",
    engine: str = "native",
    progress: Progress | None = None,
) -> Recognizer:
    """Load a model and make it ready to run.

    model: an official name, `demo`, or the path of a .ckpt (its tokenizer beside it as <stem>_tokenizer.model) or of a
        folder as model hubs have them.
    precision: fp32, bf16, int8 or auto. device: cpu, cuda, mps or auto (cuda, then mps, then cpu).
    threads: as many as the cores that this process may use, unless given.
    models_dir: where official weights are, or are downloaded to from `models_url` (else from their authors' server),
        `progress` being told how far that is.
    engine: native, or gigaam for that package's own network.
    Raises ModelError, of whichever kind, if the model cannot be had or cannot run as asked.
    """
    torch.set_num_threads(threads or available_cores())
    models_dir = models_dir or Path("models")
    target = torch.device(_device(device))
    store = WeightsStore(models_dir, models_url or BASE_URL)
    if engine == "gigaam":
        from asr_core.model.upstream import UpstreamRecognizer  # noqa: PLC0415 - the package is only needed here

        if precision not in {"auto", "fp32"}:
            raise PrecisionUnsupported(f"ENGINE=gigaam computes in fp32: PRECISION={precision} needs ENGINE=native.")
        return _tried(UpstreamRecognizer(resolve(model, store, progress), models_dir, target), model)
    choice = choose_precision(precision, target)
    path = resolve(model, store, progress)
    log.info("Loading %s on %s in %s (%s)", model, target.type, choice.precision, choice.reason)
    recognizer = _tried(NativeRecognizer(path, models_dir, Target(target, choice.precision), choice.reason), model)
    give_back()  # what loading took beyond what stays
    return recognizer


def _tried(recognizer: Recognizer, model: str) -> Recognizer:
    """`recognizer`, once it has heard something. Raises CheckpointError if what it makes of that cannot be right.

    Weights may be damaged and still be numbers; what they make of sound then often is not, or is the same for any.
    """
    sounds = list(torch.randn(2, SAMPLE_RATE, generator=torch.Generator().manual_seed(0)) / 10)
    one, other = recognizer.encode(sounds)
    log_probs = [token.log_prob for hypothesis in recognizer.recognize(sounds) for token in hypothesis.tokens]
    is_finite = one.isfinite().all() and all(map(math.isfinite, log_probs))
    if not is_finite or torch.allclose(one, other, rtol=1e-3):
        raise CheckpointError(
            f"The weights of {Path(model).name} are damaged: what the network makes of sound means nothing."
        )
    return recognizer


def _device(name: str) -> str:
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
