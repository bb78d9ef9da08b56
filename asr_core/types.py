"""The nouns of the project: what the rooms hand to each other.

Positions in a recording are integers, samples at 16 kHz; seconds appear only in results.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
"""The formats that OpenAI's API knows."""

OFFICIAL_MODELS = (
    "v3_ctc",
    "v3_rnnt",
    "v3_e2e_ctc",
    "v3_e2e_rnnt",
    "v2_ctc",
    "v2_rnnt",
    "v1_ctc",
    "v1_rnnt",
    "multilingual_ctc",
    "multilingual_large_ctc",
)
"""The models that GigaAM's authors publish, by their names."""


def is_path(model: str) -> bool:
    """Whether `model` means a file or a folder rather than a model by name."""
    return model.endswith(".ckpt") or "/" in model


def name_of(model: str) -> str:
    """What a model is called: an official name, `demo`, a file's stem or a folder's name."""
    return PurePath(model).name.removesuffix(".ckpt") if is_path(model) else model


RUSSIAN: tuple[str, ...] = ("ru",)
MULTILINGUAL: tuple[str, ...] = ("ru", "kk", "ky", "uz", "en")
"""What models know: codes of their languages, the first being meant where nothing tells them apart."""

Precision = Literal["fp32", "bf16", "int8"]
"""What the network's linear layers compute in."""

PrecisionSetting = Literal["auto", Precision]
"""`auto` leaves it to the machine."""

ChannelMode = Literal["mix", "split", "auto"]
"""What becomes of a recording's channels: they are mixed; each is heard by itself; or two are if they are two sides."""

SpeakerCount = Literal["auto"] | int
"""As many as there seem to be, or so many."""

MAX_SPEAKERS = 20

SAMPLE_RATE = 16_000
"""Samples a second, everywhere: Silero and every GigaAM model expect it."""

Pcm = NDArray[np.int16]
"""16 kHz mono samples, shape [S]."""

INT16_SCALE = 32_768.0
"""An int16 sample of this size would be 1.0."""

Probabilities = NDArray[np.float32]
"""Speech probabilities of consecutive VAD windows, shape [N], range 0..1."""

VAD_WINDOW = 512
"""Samples (32 ms) that one speech probability stands for."""


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open run of 16 kHz samples."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def start_s(self) -> float:
        return self.start / SAMPLE_RATE

    @property
    def end_s(self) -> float:
        return self.end / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class VadOptions:
    """When a run of windows counts as speech; the fields mean what Silero's options of these names mean."""

    threshold: float = 0.25
    min_speech_ms: int = 250
    min_silence_ms: int = 100
    speech_pad_ms: int = 30


KeywordsSpelling = Literal["original", "model"]
"""How keywords are written in a transcript: as they were given, or as the model writes words."""


@dataclass(frozen=True, slots=True)
class Keyword:
    """A name or term that may be spoken, as people write it; `weight` is how many times the usual bonus it gets."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Spelling:
    """One way to hear a keyword or a form of it, and what the transcript has in its place."""

    heard: str
    """Small Russian letters, е for ё, single spaces between words."""
    written: str
    n_letters: int
    """Of the keyword, or of this form where that is shorter: endings are not worth more for being long."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Hints:
    """What a recording may be about."""

    keywords: tuple[Keyword, ...] = ()
    prompt: str = ""
    """Prose; the names and unknown words in it count."""
    spelling: KeywordsSpelling = "original"


@dataclass(frozen=True, slots=True, eq=False)
class KnownSpeaker:
    """Somebody whose voice is known."""

    name: str
    pcm: Pcm
    """Some seconds of it."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What one transcription may choose for itself."""

    vad: VadOptions = field(default_factory=VadOptions)
    keep_tokens: bool = False
    """Whether segments come with their tokens: most of what a long transcript takes of memory."""
    model: str = ""
    """The name of the loaded model that is to hear it; any other means the default."""
    audio_track: int | None = None
    """Which of several sound tracks to hear, from 0; None: a Russian one, else the default one, else one with sound."""
    hints: Hints = Hints()
    channels: ChannelMode = "mix"
    speakers: SpeakerCount | None = None
    """How many voices to tell apart, where channels do not tell; None: nobody asked."""
    known_speakers: tuple[KnownSpeaker, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A piece of a recording that the model hears as one: `index` counts from 0 within its recording.

    Each sample of speech is in one chunk's `span`. What is heard, `pcm`, may be more: silence around the span, and
    where speech had to be cut, some of what the neighbour's span holds.
    """

    index: int
    span: Span
    pcm: Pcm
    """The sound of `heard`, with quiet voices brought to the level of loud ones."""
    speech_probs: Probabilities
    """Probabilities of the VAD windows that `heard` touches. Windows begin at multiples of `VAD_WINDOW` in the
    recording, the first of these at `heard.start // VAD_WINDOW * VAD_WINDOW`."""
    before: int = 0
    """Samples of `pcm` ahead of `span`."""
    after: int = 0
    """Samples of `pcm` behind `span`."""
    doubtful: tuple[Span, ...] = ()
    """Where in `heard` the VAD hears nobody in the sound as it is: unlikely words there do not count."""

    goes_on: bool = False
    """Whether speech goes on in the channel's next chunk: the two then hear some of each other's span."""
    channel: int | None = None
    """Which channel it is of, where each is heard by itself."""
    settled: int = 0
    """No chunk of a higher index is heard from before this sample; told where there are channels."""

    @property
    def heard(self) -> Span:
        """What `pcm` is the sound of."""
        return Span(self.span.start - self.before, self.span.end + self.after)


@dataclass(frozen=True, slots=True)
class Token:
    """One emitted label: its surface text (a word begins with a space), encoder frame and log-probability."""

    text: str
    frame: int
    log_prob: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the model heard in one waveform, `n_frames` encoder frames long."""

    tokens: tuple[Token, ...]
    n_frames: int

    @property
    def text(self) -> str:
        """The words that the tokens spell, separated by single spaces."""
        return " ".join("".join(token.text for token in self.tokens).split())


@dataclass(frozen=True, slots=True)
class Word:
    """A word, its place in the recording and its probability (geometric mean over its tokens, 0..1)."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A phrase as people read it: one subtitle cue, one streamed delta.

    `tokens` spell `text` exactly; `avg_logprob` is their mean log-probability.
    """

    index: int
    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]
    tokens: tuple[Token, ...]
    avg_logprob: float
    no_speech_prob: float
    speaker: str | None = None
    """Who says it, where that was asked for."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A whole recording's segments, in order."""

    segments: tuple[Segment, ...]
    duration_s: float
    warnings: tuple[str, ...] = ()
    """What its reader should know, in sentences: what the recording lacks, what of the request had no effect."""
    audio_track: int | None = None
    """Which of the recording's sound tracks was heard, from 0; None if it has only one."""
    known_languages: tuple[str, ...] = RUSSIAN
    """Codes of the languages that the model knows."""

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)
