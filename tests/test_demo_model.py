"""The bundled demo model hears what it is said to hear, through the same code as any other model."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from types import ModuleType

import numpy as np
import pytest
import torch

import asr_core
from asr_core.audio.chunking import ChunkPolicy
from asr_core.audio.segmenter import Segmenter
from asr_core.audio.vad import SileroNetwork
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.text.writer import Writer
from asr_core.types import INT16_SCALE, SAMPLE_RATE, Pcm, Segment, VadOptions, Word

DEMO = Path(asr_core.__file__).parent / "demo"
SEED = 9700  # of sentences that neither training nor evaluation has heard
SENTENCES = 60
LONG_SECONDS = 180.0
WORST_WER = {"espeak": 0.03, "variants": 0.07, "festival": 0.07}
TIMES_WITHIN_S = 0.08


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return load_recognizer("demo")


@pytest.fixture(scope="module")
def network() -> SileroNetwork:
    return SileroNetwork.load()


@pytest.fixture(scope="module")
def recordings() -> ModuleType:
    """tools.demo_model.recordings, where everything it needs is installed."""
    missing = [program for program in ("espeak-ng", "festival") if shutil.which(program) is None]
    missing += [] if Path("/usr/share/festival/voices/russian").exists() else ["festvox-ru"]
    if missing:
        pytest.skip(f"cannot make speech without {', '.join(missing)} (apt-get install {' '.join(missing)})")
    module: ModuleType = pytest.importorskip(
        "tools.demo_model.recordings",
        reason="speech is made by the demo-model dependency group",
        exc_type=ImportError,
    )
    return module


def pcm_of(samples: np.ndarray) -> Pcm:
    pcm: Pcm = (np.clip(samples, -1, 1) * 32767).round().astype(np.int16)
    return pcm


def wave_of(pcm: Pcm) -> torch.Tensor:
    return torch.from_numpy(pcm.astype(np.float32) / INT16_SCALE)


def read(path: Path) -> Pcm:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def transcribe(recognizer: Recognizer, network: SileroNetwork, pcm: Pcm) -> list[Segment]:
    """What the server does with a recording, without the server."""
    segmenter = Segmenter(network, ChunkPolicy(), VadOptions())
    writer, found = Writer(), list[Segment]()
    for chunk in segmenter.push(pcm) + segmenter.flush():
        (hypothesis,) = recognizer.recognize([wave_of(chunk.pcm)])
        found += writer.write(chunk, hypothesis)
    return found


def texts(recognizer: Recognizer, waves: Sequence[np.ndarray]) -> list[str]:
    return [hypothesis.text for hypothesis in recognizer.recognize([wave_of(pcm_of(samples)) for samples in waves])]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_sample_is_heard_to_the_letter(network: SileroNetwork, precision: str) -> None:
    found = transcribe(load_recognizer("demo", precision=precision), network, read(DEMO / "speech.wav"))
    assert " ".join(segment.text for segment in found) == (DEMO / "speech.txt").read_text(encoding="utf-8").strip()


def test_the_sample_is_long_enough_to_show_several_segments(recognizer: Recognizer, network: SileroNetwork) -> None:
    pcm = read(DEMO / "speech.wav")
    assert len(pcm) >= 20 * SAMPLE_RATE
    assert len(transcribe(recognizer, network, pcm)) >= 3


def test_the_weights_are_small_enough_to_carry() -> None:
    assert (DEMO / "demo_ctc.ckpt").stat().st_size <= 12e6


@pytest.mark.parametrize("voice", sorted(WORST_WER))
def test_few_words_of_held_out_sentences_are_misheard(
    recognizer: Recognizer, recordings: ModuleType, voice: str
) -> None:
    scoring = pytest.importorskip("tools.demo_model.scoring")
    spoken = recordings.speak(voice, recordings.held_out(SEED, SENTENCES), SEED)
    if voice == "variants":
        spoken = recordings.noisy(spoken, SEED)
    heard = texts(recognizer, [recording.wave for recording in spoken])
    assert scoring.total([recording.label for recording in spoken], heard).wer <= WORST_WER[voice]


def test_words_are_placed_where_the_synthesiser_put_them(
    recognizer: Recognizer, network: SileroNetwork, recordings: ModuleType
) -> None:
    voices = pytest.importorskip("tools.demo_model.voices")
    sentences = recordings.held_out(SEED + 1, SENTENCES)
    errors: list[float] = []
    for samples, placed in voices.festival_words([sentence.spoken for sentence in sentences]):
        heard = [word for segment in transcribe(recognizer, network, pcm_of(samples)) for word in segment.words]
        errors += offsets(heard, placed)
    assert len(errors) > 2 * SENTENCES
    assert fmean(errors) <= TIMES_WITHIN_S


def offsets(heard: Sequence[Word], placed: Sequence[Word]) -> list[float]:
    """How far off the beginnings and ends are, of sentences whose words were all heard."""
    if [word.text for word in heard] != [word.text.lower().replace("ё", "е") for word in placed]:
        return []
    pairs = list(zip(heard, placed, strict=True))
    return [abs(a.start_s - b.start_s) for a, b in pairs] + [abs(a.end_s - b.end_s) for a, b in pairs]


def test_a_long_recording_is_heard_as_its_parts_are(
    recognizer: Recognizer, network: SileroNetwork, recordings: ModuleType
) -> None:
    scoring = pytest.importorskip("tools.demo_model.scoring")
    spoken = recordings.held_out(SEED + 2, 50)
    parts = recordings.speak("espeak", spoken[::2], SEED) + recordings.speak("festival", spoken[1::2], SEED)
    while sum(len(part.wave) / SAMPLE_RATE for part in parts) < LONG_SECONDS - len(parts):
        parts += parts[: len(parts) // 2]
    long = recordings.joined(parts, SEED)
    assert len(long.wave) > LONG_SECONDS * SAMPLE_RATE
    alone = " ".join(texts(recognizer, [part.wave for part in parts]))
    together = " ".join(segment.text for segment in transcribe(recognizer, network, pcm_of(long.wave)))
    # Letters, not words: other neighbours may turn an unstressed vowel, but no sentence is lost or invented.
    assert scoring.score(alone, together).cer <= 0.01
