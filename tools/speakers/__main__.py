"""Diarization error rates of made dialogues, as a table.

python -m tools.speakers [--real FOLDER] [--dialogues 10] [--seed 1]

Needs festival and espeak-ng (tools/demo_model/README.md) and the dependency group `speakers`. Everything runs as in the
server but the model, whose place is taken by a word for every 0.3 s of speech: so the figures are not those of a model.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TypeVar

import torch

from asr_core.audio.chunking import ChunkPolicy
from asr_core.audio.downmix import WINDOW as BLOCK
from asr_core.audio.segmenter import Segmenter
from asr_core.audio.vad import SileroNetwork
from asr_core.speakers.encoder import encoder
from asr_core.speakers.voices import VoicesWriter
from asr_core.speakers.windows import stretches
from asr_core.types import SAMPLE_RATE, Chunk, Hypothesis, Pcm, Token, VadOptions
from tools.speakers.dialogues import Dialogue, Turn, casts, dialogue, likeness, real_voices, synthetic_voices
from tools.speakers.scoring import error_rate

Result = TypeVar("Result")

WORD = 3 * SAMPLE_RATE // 10
FRAME = SAMPLE_RATE // 25

MINUTES = (1, 2, 3, 5, 10, 20)
TURN_S, SHORT_TURN_S = (1.0, 15.0), (2.0, 4.0)


class Diarizer:
    """The server's way from sound to segments, with made words."""

    def __init__(self) -> None:
        self._vad = SileroNetwork.load()
        self.seconds = self.audio_s = 0.0

    def turns(self, pcm: Pcm) -> list[Turn]:
        segmenter, writer = Segmenter(self._vad, ChunkPolicy(), VadOptions()), VoicesWriter(encoder)
        segments = []
        for chunk in self._chunks(segmenter, pcm):
            self._timed(partial(writer.hear, chunk))
            segments += writer.write(chunk, made_words(chunk))
        segments += self._timed(writer.flush)
        self.audio_s += len(pcm) / SAMPLE_RATE
        return [(str(segment.speaker), segment.start_s, segment.end_s) for segment in segments]

    @staticmethod
    def _chunks(segmenter: Segmenter, pcm: Pcm) -> Iterator[Chunk]:
        for at in range(0, len(pcm), BLOCK):
            yield from segmenter.push(pcm[at : at + BLOCK])
        yield from segmenter.flush()

    def _timed(self, work: Callable[[], Result]) -> Result:
        begin = time.process_time()
        result = work()
        self.seconds += time.process_time() - begin
        return result


def made_words(chunk: Chunk) -> Hypothesis:
    """A word for each `WORD` of the chunk's speech."""
    tokens = []
    for stretch in stretches(chunk):
        n_words = max(1, round(len(stretch) / WORD))
        edges = [stretch.start - chunk.heard.start + n * len(stretch) // n_words for n in range(n_words + 1)]
        for start, end in pairwise(edges):
            first = start // FRAME
            tokens += [Token(" а", first, -0.1), Token("а", max(first, end // FRAME - 1), -0.1)]
    return Hypothesis(tuple(tokens), -(-len(chunk.heard) // FRAME))


def report(name: str, diarizer: Diarizer, dialogues: Sequence[Dialogue]) -> None:
    rates, right = [], 0
    for made in dialogues:
        found = diarizer.turns(made.pcm)
        rates.append(error_rate(made.turns, found))
        right += len({who for who, *_ in found}) == len({who for who, *_ in made.turns})
    print(f"| {name} | {len(dialogues)} | {fmean(rates):.1%} | {max(rates):.1%} | {right} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, help="a folder of wav files, each of somebody else")
    parser.add_argument("--dialogues", type=int, default=10, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    diarizer, rng = Diarizer(), random.Random(options.seed)

    print("| voices, speakers | dialogues | error rate | highest | number right |\n|---|---|---|---|---|")
    sets = {"synthetic": (synthetic_voices(120, options.seed), TURN_S)}
    if options.real:
        sets["real"] = (real_voices(options.real), SHORT_TURN_S)
    for name, (voices, turn_s) in sets.items():
        alike = likeness(voices, encoder())
        for n in (2, 3, 4, 5):
            drawn = [rng.choice(casts(alike, n)) for _ in range(options.dialogues)]
            made = [
                dialogue(voices, cast, 60 * MINUTES[number % len(MINUTES)], turn_s, rng)
                for number, cast in enumerate(drawn)
            ]
            report(f"{name}, {n}", diarizer, made)
    print(f"\n{diarizer.seconds / diarizer.audio_s * 1000:.1f} ms of a CPU for a second of sound")


if __name__ == "__main__":
    main()
