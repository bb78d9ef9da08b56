"""The sample recording: held-out sentences with pauses, of which the network writes every letter right.

python -m tools.demo_model.sample DIR/export/demo_ctc.ckpt --data DIR --out DIR/export
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import soundfile

from asr_core.audio.vad import SileroNetwork
from asr_core.model.recognizer import Recognizer, load_recognizer
from tools.demo_model.evaluate import PRECISIONS, hear, hear_long, pcm_of
from tools.demo_model.recordings import Recording, held_out, joined, speak, trained_labels
from tools.demo_model.voices import SAMPLE_RATE, Wave

SEED = 9900
CANDIDATES, SENTENCES = 40, 3  # of each voice
PAUSES_S = (0.7, 1.3)
LENGTH_S = (20.0, 25.0)
"""Long enough for several segments, short enough for the server to take it for one chunk."""


def heard_alone(recognizer: Recognizer, kind: str, seed: int, known: set[str]) -> list[Recording]:
    """Sentences by one voice that are heard right one by one, of a length worth showing."""
    spoken = [sentence for sentence in held_out(seed, CANDIDATES, known) if len(sentence.label.split()) >= 4]
    recordings = speak(kind, spoken, seed)
    heard = hear(recognizer, recordings)
    return [recording for recording, text in zip(recordings, heard, strict=True) if recording.label == text]


def candidate(by_voice: list[list[Recording]], seed: int) -> Recording:
    """The voices in turn."""
    rng = random.Random(seed)
    drawn = [rng.sample(recordings, SENTENCES) for recordings in by_voice]
    return joined([recording for pair in zip(*drawn, strict=True) for recording in pair], seed, PAUSES_S)


def heard_right(recognizers: list[Recognizer], network: SileroNetwork, wave: Wave, label: str) -> bool:
    return all(" ".join(hear_long(recognizer, network, pcm_of(wave))) == label for recognizer in recognizers)


def find(checkpoint: str, known: set[str], tries: int) -> Recording:
    """The first of the right length that every precision hears right: the same text on any machine."""
    recognizers = [load_recognizer(checkpoint, precision=precision) for precision in PRECISIONS]
    network = SileroNetwork.load()
    by_voice = [heard_alone(recognizers[0], kind, SEED - i, known) for i, kind in enumerate(("festival", "espeak"))]
    if min(map(len, by_voice)) < SENTENCES:
        raise SystemExit("the network hears too few sentences right to make a sample of: train it for longer")
    for seed in range(SEED, SEED + tries):
        recording = candidate(by_voice, seed)
        length_s = len(recording.wave) / SAMPLE_RATE
        fits = LENGTH_S[0] <= length_s <= LENGTH_S[1]
        if fits and heard_right(recognizers, network, recording.wave, recording.label):
            print(f"seed {seed}")
            return recording
    raise SystemExit(f"no sample in {tries} tries is heard without an error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--data", type=Path, help="where the training set lies, to leave its sentences out")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tries", type=int, default=100)
    arguments = parser.parse_args()
    recording = find(arguments.checkpoint, trained_labels(arguments.data) if arguments.data else set(), arguments.tries)
    soundfile.write(arguments.out / "speech.wav", pcm_of(recording.wave), SAMPLE_RATE, subtype="PCM_16")
    (arguments.out / "speech.txt").write_text(recording.label + "\n", encoding="utf-8")
    print(f"{len(recording.wave) / SAMPLE_RATE:.1f} s: {recording.label}")


if __name__ == "__main__":
    main()
