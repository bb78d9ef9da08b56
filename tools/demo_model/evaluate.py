"""Word error rates of a checkpoint on held-out speech, as a Markdown table.

    python -m tools.demo_model.evaluate DIR/export/demo_ctc.ckpt --data DIR

Everything goes through the server's own recogniser, and long recordings through its VAD and chunking too.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from asr_core.audio.chunking import ChunkPolicy
from asr_core.audio.segmenter import Segmenter
from asr_core.audio.vad import SileroNetwork
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.text.writer import Writer
from asr_core.types import INT16_SCALE, Pcm, VadOptions
from tools.demo_model.recordings import HELD_OUT_SEED, Recording, held_out, long_recording, noisy, speak, trained_labels
from tools.demo_model.scoring import Score, score, total
from tools.demo_model.voices import Wave

BATCH = 16
LONG_SECONDS = 180.0
BLOCK = 16000  # samples that the segmenter is fed at a time
NAMES = {"espeak": "espeak-ng, own voice", "variants": "espeak-ng, all variants", "festival": "festival"}
PRECISIONS = ("fp32", "bf16", "int8")


def pcm_of(wave: Wave) -> Pcm:
    pcm: Pcm = (np.clip(wave, -1, 1) * 32767).round().astype(np.int16)
    return pcm


def hear(recognizer: Recognizer, recordings: list[Recording]) -> list[str]:
    """Each recording as one waveform."""
    order = sorted(range(len(recordings)), key=lambda i: len(recordings[i].wave))
    heard: dict[int, str] = {}
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        waves = [torch.from_numpy(pcm_of(recordings[i].wave).astype(np.float32) / INT16_SCALE) for i in chosen]
        heard |= zip(chosen, (hypothesis.text for hypothesis in recognizer.recognize(waves)), strict=True)
    return [heard[i] for i in range(len(recordings))]


def hear_long(recognizer: Recognizer, network: SileroNetwork, pcm: Pcm) -> list[str]:
    """The texts of the segments that the server would write."""
    segmenter = Segmenter(network, ChunkPolicy(), VadOptions())
    blocks = [pcm[start : start + BLOCK] for start in range(0, len(pcm), BLOCK)]
    chunks = [chunk for block in blocks for chunk in segmenter.push(block)] + segmenter.flush()
    writer, texts = Writer(), list[str]()
    for chunk in chunks:
        (hypothesis,) = recognizer.recognize([torch.from_numpy(chunk.pcm.astype(np.float32) / INT16_SCALE)])
        texts += [segment.text for segment in writer.write(chunk, hypothesis)]
    return texts


def sets(known: set[str], count: int, with_rare: bool) -> Iterator[tuple[str, str, list[Recording]]]:
    """Voice, condition and the recordings."""
    everyday = held_out(HELD_OUT_SEED, count, known)
    for kind, name in NAMES.items():
        recordings = speak(kind, everyday, HELD_OUT_SEED)
        yield name, "clean", recordings
        yield name, "noise, 15 dB", noisy(recordings, HELD_OUT_SEED)
    if with_rare:
        rare = held_out(HELD_OUT_SEED + 1, count, known, rare=True)
        for kind, name in NAMES.items():
            yield name, "rare words", speak(kind, rare, HELD_OUT_SEED)


def agreement(checkpoint: str, count: int, known: set[str]) -> Iterator[str]:
    """How many of the same sentences each precision writes exactly as fp32 does."""
    spoken = held_out(HELD_OUT_SEED + 2, count // 2, known)
    recordings = speak("variants", spoken, HELD_OUT_SEED) + speak("festival", spoken, HELD_OUT_SEED)
    references = [recording.label for recording in recordings]
    exact: list[str] = []
    yield f"| precision | same text as fp32, of {len(recordings)} | WER |"
    yield "|---|---|---|"
    for precision in PRECISIONS:
        heard = hear(load_recognizer(checkpoint, precision=precision), recordings)
        exact = exact or heard
        same = sum(a == b for a, b in zip(exact, heard, strict=True))
        yield f"| {precision} | {same} | {total(references, heard).wer:.2%} |"


def row(voice: str, condition: str, recordings: int, result: Score) -> str:
    return f"| {voice} | {condition} | {recordings} | {result.wer:.1%} | {result.cer:.1%} |"


def table(recognizer: Recognizer, known: set[str], count: int, with_rare: bool, long_count: int) -> Iterator[str]:
    yield "| voice | condition | recordings | WER | CER |"
    yield "|---|---|---|---|---|"
    for voice, condition, recordings in sets(known, count, with_rare):
        references = [recording.label for recording in recordings]
        yield row(voice, condition, len(recordings), total(references, hear(recognizer, recordings)))
    network = SileroNetwork.load()
    result = Score()
    for index in range(long_count):
        recording = long_recording(HELD_OUT_SEED + 100 * (index + 1), LONG_SECONDS, known)
        result += score(recording.label, " ".join(hear_long(recognizer, network, pcm_of(recording.wave))))
    yield row("all in turn", "3 minutes with pauses, VAD and chunking", long_count, result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data", type=Path, help="where the training set lies, to leave its sentences out")
    parser.add_argument("--count", type=int, default=300, help="sentences in each set")
    parser.add_argument("--long", type=int, default=4, help="three-minute recordings")
    parser.add_argument("--no-rare", action="store_true", help="leave out rare words, which take half a minute to list")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--agreement", type=int, default=0, help="also compare the precisions on so many sentences")
    arguments = parser.parse_args()
    known = trained_labels(arguments.data) if arguments.data else set()
    recognizer = load_recognizer(arguments.checkpoint, precision=arguments.precision)
    for line in table(recognizer, known, arguments.count, not arguments.no_rare, arguments.long):
        print(line, flush=True)
    if arguments.agreement:
        print()
        for line in agreement(arguments.checkpoint, arguments.agreement, known):
            print(line, flush=True)


if __name__ == "__main__":
    main()
