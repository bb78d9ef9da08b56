"""What a long recording costs in words: its sentences heard in it, and each of them alone.

Everything goes the server's way, from samples to words; beside it the rule of the gigaam package. The bundled model
listens, and the voices are those it knows: espeak-ng and festival have to be installed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import torch

from asr_core.audio.chunking import ChunkPolicy, merge
from asr_core.audio.segmenter import Segmenter
from asr_core.audio.vad import SileroNetwork, speech_spans
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.text.writer import Writer
from asr_core.types import INT16_SCALE, SAMPLE_RATE, Chunk, Pcm, Span, VadOptions, Word
from benchmarks.comparison import Comparison
from benchmarks.scene import scene
from benchmarks.timing import Finding
from tools.demo_model.recordings import HELD_OUT_SEED

BLOCK = 10 * SAMPLE_RATE
Rule = Callable[[Pcm], Iterable[Chunk]]


def run(minutes: int, seed: int | None = None) -> Iterator[list[Finding]]:
    """Findings about a recording of so many minutes, the usual one unless a seed draws another."""
    recognizer, network = load_recognizer("demo", precision="fp32"), SileroNetwork.load()
    ours, recorded = partial(chunks, network), scene(minutes, HELD_OUT_SEED if seed is None else seed)
    alone = [transcribed(recognizer, ours(said.alone)) for said in recorded.said]
    rules: dict[str, Rule] = {"ours": ours, "upstream's rule": equal_parts}
    for name, rule in rules.items():
        cut = list(rule(recorded.pcm))
        borders = sorted(edge for chunk in cut for edge in (chunk.span.start, chunk.span.end))
        comparison = Comparison(recorded, alone, transcribed(recognizer, cut), borders)
        yield comparison.findings(name, has_targets=name == "ours")


def chunks(network: SileroNetwork, pcm: Pcm) -> Iterator[Chunk]:
    """As the server makes them."""
    segmenter = Segmenter(network, ChunkPolicy(), VadOptions())
    for start in range(0, len(pcm), BLOCK):
        yield from segmenter.push(pcm[start : start + BLOCK])
    yield from segmenter.flush()


def equal_parts(pcm: Pcm) -> Iterator[Chunk]:
    """As the gigaam package makes them: what is too long is cut into equal parts; nothing is heard but the spans."""
    policy = ChunkPolicy()
    endless = ChunkPolicy(policy.min_duration, policy.max_duration, len(pcm) + 1, policy.new_chunk_threshold)
    index = itertools.count()
    for span in merge(speech_spans([pcm]), endless):
        n_parts = len(span) // policy.strict_limit + 1
        edges = [span.start + len(span) * part // n_parts for part in range(n_parts + 1)]
        for start, end in itertools.pairwise(edges):
            yield Chunk(next(index), Span(start, end), pcm[start:end], np.empty(0, np.float32))


def transcribed(recognizer: Recognizer, cut: Iterable[Chunk]) -> list[Word]:
    writer, words = Writer(), list[Word]()
    for chunk in cut:
        (hypothesis,) = recognizer.recognize([torch.from_numpy(chunk.pcm.astype(np.float32) / INT16_SCALE)])
        words += [word for segment in writer.write(chunk, hypothesis) for word in segment.words]
    return words
