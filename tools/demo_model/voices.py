"""The two synthesisers: espeak-ng with its variants, and festival's Russian voice with its segment times."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torchaudio.functional import resample  # type: ignore[import-untyped]

SAMPLE_RATE = 16000
FESTIVAL_VOICE = "msu_ru_nsh_clunits"
KINDS = ("espeak", "variants", "festival")

Wave = NDArray[np.float32]  # [S] at 16 kHz, in [-1, 1]


@dataclass(frozen=True, slots=True)
class SpokenWord:
    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    name: str = "ru"
    words_per_minute: int = 175
    pitch: int = 50


@lru_cache(maxsize=1)
def variants() -> tuple[str, ...]:
    """Every variant that espeak-ng has installed, as the suffix of a voice name."""
    listing = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, check=True, text=True).stdout
    files = (word for line in listing.splitlines()[1:] for word in line.split() if word.startswith("!v/"))
    return tuple(sorted(file.removeprefix("!v/") for file in files))


def draw_espeak(kind: str, rng: random.Random) -> EspeakVoice:
    """The own voice is half the time as it comes; variants are drawn evenly."""
    if kind == "espeak" and rng.random() < 0.5:
        return EspeakVoice()
    name = "ru" if kind == "espeak" else f"ru+{rng.choice(variants())}"
    return EspeakVoice(name, rng.randint(120, 200), rng.randint(25, 75))


def to_16k(wave: Wave, rate: int) -> Wave:
    if rate == SAMPLE_RATE:
        return wave
    resampled: Wave = resample(torch.from_numpy(wave), rate, SAMPLE_RATE).numpy()
    return resampled


def change_speed(wave: Wave, percent: int) -> Wave:
    """Faster and higher above 100, as a tape would be."""
    return to_16k(wave, SAMPLE_RATE * percent // 100)


def espeak(text: str, voice: EspeakVoice) -> Wave:
    manner = ["-v", voice.name, "-s", str(voice.words_per_minute), "-p", str(voice.pitch)]
    command = ["espeak-ng", *manner, "--stdout", text]
    spoken = subprocess.run(command, capture_output=True, check=True).stdout
    wave, rate = soundfile.read(BytesIO(spoken), dtype="float32")
    return to_16k(wave, rate)


def festival(texts: Sequence[str]) -> list[Wave]:
    return [wave for wave, _ in festival_words(texts)]


def festival_words(texts: Sequence[str]) -> list[tuple[Wave, list[SpokenWord]]]:
    """Speak many texts in one run, for the voice takes longer to load than a sentence to speak."""
    with TemporaryDirectory() as folder:
        script = Path(folder, "say.scm")
        lines = [f"(voice_{FESTIVAL_VOICE})"]
        for index, text in enumerate(texts):
            spoken = text.replace("\\", "").replace('"', "")
            lines += [
                f'(set! spoken (utt.synth (Utterance Text "{spoken}")))',
                f'(utt.save.wave spoken "{folder}/{index}.wav" \'riff)',
                f'(set! words (fopen "{folder}/{index}.txt" "w"))',
                '(mapcar (lambda (w) (format words "%s %f %f\\n" (item.name w)'
                ' (item.feat w "word_start") (item.feat w "word_end"))) (utt.relation.items spoken \'Word))',
                "(fclose words)",
            ]
        script.write_text("\n".join(lines), encoding="utf-8")
        subprocess.run(["festival", "-b", str(script)], capture_output=True, check=True)
        return [_read_festival(Path(folder), index) for index in range(len(texts))]


def _read_festival(folder: Path, index: int) -> tuple[Wave, list[SpokenWord]]:
    wave, rate = soundfile.read(folder / f"{index}.wav", dtype="float32")
    rows = (line.split() for line in (folder / f"{index}.txt").read_text(encoding="utf-8").splitlines())
    return to_16k(wave, rate), [SpokenWord(text, float(start), float(end)) for text, start, end in rows]
