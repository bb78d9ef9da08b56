"""What a network makes of recordings, decoded in many ways, and what each way takes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from asr_core.model.glossary import Glossary
from asr_core.model.heads import RnntHead, ctc_greedy
from asr_core.model.recognizer import load_recognizer
from asr_core.types import SAMPLE_RATE, Token
from reference.checkpoints import configuration, random_weights, save

CHUNK_S = 20
"""Of sound, that times are measured for: what a chunk of a long recording has."""
FRAMES_PER_S = 25


class Ears(Protocol):
    """Recordings as the network has left them, to be decoded in many ways."""

    def tokens(self, index: int, known: Glossary | None) -> tuple[Token, ...]: ...


@dataclass(frozen=True, slots=True)
class CtcEars:
    labels: Sequence[str]
    log_probs: Sequence[Tensor]

    def tokens(self, index: int, known: Glossary | None) -> tuple[Token, ...]:
        scores = self.log_probs[index]
        return known.ctc(scores) if known else ctc_greedy(scores, self.labels)


@dataclass(frozen=True, slots=True)
class RnntEars:
    head: RnntHead
    encoded: Sequence[Tensor]

    def tokens(self, index: int, known: Glossary | None) -> tuple[Token, ...]:
        frames = self.encoded[index]
        return known.rnnt(self.head, frames) if known else self.head.decode(frames)


def chunk(recordings: Sequence[Tensor]) -> Tensor:
    """Frames of `CHUNK_S` seconds out of several recordings."""
    return torch.cat(list(recordings[:20]))[: CHUNK_S * FRAMES_PER_S]


def fastest(work: Callable[[], object], rounds: int = 7) -> float:
    """CPU seconds of `work` on one thread, at best: neighbours then matter little."""
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


@torch.inference_mode()
def timing(glossaries: Sequence[Glossary], ears: Sequence[tuple[str, Ears]]) -> Iterator[str]:
    """What a chunk takes without keywords and with them, beside a network of v3_ctc's size in int8."""
    torch.set_num_threads(1)
    cfg = configuration("v3_ctc", width=768, layers=16, heads=16)
    with tempfile.TemporaryDirectory() as folder:
        network = load_recognizer(str(save(Path(folder), "sized", cfg, random_weights(cfg))), precision="int8")
        sound = [torch.randn(CHUNK_S * SAMPLE_RATE) / 10]
        encoding = fastest(lambda: network.encode(sound))
    yield f"the network alone, {CHUNK_S} s of sound: {1000 * encoding:.0f} ms"
    for name, chunk in ears:
        plain = fastest(lambda chunk=chunk: chunk.tokens(0, None))  # type: ignore[misc]  # its arguments are its defaults
        for known in glossaries:
            searching = fastest(lambda chunk=chunk, known=known: chunk.tokens(0, known))  # type: ignore[misc]  # its arguments are its defaults
            more = (searching - plain) / (encoding + plain)
            times = f"{1000 * plain:.1f} → {1000 * searching:.1f} ms"
            yield f"{name}, {len(known.trie)} nodes: {times}, {more:+.1%} of the chunk"
