"""The transcription form: every alias and quirk of its fields, turned into one validated options object."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
)
from pydantic_core import from_json

from asr_core.api.multipart import Keep
from asr_core.errors import BadRequest, UnknownModel
from asr_core.settings import Settings
from asr_core.text.cues import LINE_COUNT, LINE_WIDTH, MIN_LINE_WIDTH, CueLayout
from asr_core.text.formats import RenderOptions
from asr_core.text.languages import NAMES, understood
from asr_core.types import RUSSIAN, Hints, JobOptions, Keyword, KeywordsSpelling, ResponseFormat, VadOptions
from asr_core.wordlist import checked

_BRACKETS = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<key>[^\[\]]*)\])?")
_NOT_GIVEN = frozenset({"", "null", "none", "undefined"})
"""What clients make of an option that is not set."""

_MAX_TOLD = 40
"""Characters of a client's own text that it is told back."""


def lower(value: Any) -> Any:
    """`SRT` → `srt`: a word that a client chose from a list may be written in any case."""
    return value.lower() if isinstance(value, str) else value


Lower = BeforeValidator(lower)
Granularity = Annotated[Literal["word", "segment"], Lower]
LineWidth = Annotated[int, Field(ge=MIN_LINE_WIDTH, le=1000)]
AudioTrack = Annotated[int, Field(ge=0)] | None
LineCount = Annotated[int, Field(ge=1, le=10)]


def _checked(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(keyword.text for keyword in checked(map(Keyword, words)))


Words = Annotated[tuple[str, ...], AfterValidator(_checked)]
"""Keywords, each once and no more than can be listened for."""


class ServerVad(BaseModel):
    """`chunking_strategy` of type `server_vad`; a knob that is not given stays as the server is configured."""

    model_config = ConfigDict(frozen=True)

    type: Annotated[Literal["server_vad"], Lower] = "server_vad"
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    prefix_padding_ms: Annotated[int, Field(ge=0, le=5_000)] | None = None
    silence_duration_ms: Annotated[int, Field(ge=0, le=5_000)] | None = None

    def applied_to(self, vad: VadOptions) -> VadOptions:
        """`vad` with the knobs that were given."""
        return replace(
            vad,
            threshold=vad.threshold if self.threshold is None else self.threshold,
            speech_pad_ms=vad.speech_pad_ms if self.prefix_padding_ms is None else self.prefix_padding_ms,
            min_silence_ms=vad.min_silence_ms if self.silence_duration_ms is None else self.silence_duration_ms,
        )


class HintsForm(BaseModel):
    """What a recording may be about: names and terms to listen for, or prose that has some."""

    model_config = ConfigDict(frozen=True)

    prompt: str = ""
    keywords: Words = ()
    keywords_spelling: Annotated[KeywordsSpelling, Lower] = "original"

    @property
    def hints(self) -> Hints:
        return Hints(tuple(map(Keyword, self.keywords)), self.prompt, self.keywords_spelling)


class TranscriptionForm(HintsForm):
    """What a request chose.

    Clients send many fields to every server. `language`, `languages`, `temperature` and `known_speaker_names` are
    accepted and change nothing: a model of several languages finds out by itself which it hears, there is no
    diarization here, and nothing is drawn by chance. Whoever reads `verbose_json` is told so. Fields that nobody knows
    are dropped.

    `max_line_width` and `max_line_count` are not OpenAI's: they lay out subtitles, under the names that Whisper and
    whisperX have for them. Nor is `keywords_spelling`.
    """

    model: str
    response_format: Annotated[ResponseFormat, Lower]
    stream: bool = False
    temperature: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    timestamp_granularities: frozenset[Granularity] = frozenset()
    include: frozenset[Annotated[Literal["logprobs"], Lower]] = frozenset()
    chunking_strategy: ServerVad | None = None
    max_line_width: LineWidth = LINE_WIDTH
    max_line_count: LineCount = LINE_COUNT
    language: str = ""
    languages: tuple[str, ...] = ()
    known_speaker_names: tuple[str, ...] = ()
    audio_track: AudioTrack = None
    _known: tuple[str, ...] = PrivateAttr(RUSSIAN)
    """Codes of the languages that the model knows, whichever of them is asked for."""

    @field_validator("chunking_strategy", mode="before")
    @classmethod
    def _spell_out(cls, value: Any) -> Any:
        """`auto` → None, `server_vad` or a JSON object as text → the object."""
        if lower(value) == "auto":
            return None
        if lower(value) == "server_vad":
            return {"type": value}
        if isinstance(value, str):
            try:
                return from_json(value)
            except ValueError as exc:
                raise ValueError("Input should be 'auto', 'server_vad' or a JSON object") from exc
        return value

    @property
    def streamed(self) -> bool:
        """Whether the answer is a stream of events; formats that cannot be are answered whole."""
        return self.stream and self.response_format in ("json", "text")

    @property
    def render_options(self) -> RenderOptions:
        return RenderOptions(
            word_timestamps="word" in self.timestamp_granularities,
            segment_timestamps="word" not in self.timestamp_granularities or "segment" in self.timestamp_granularities,
            logprobs="logprobs" in self.include,
            timed_json=bool(self.timestamp_granularities),
            layout=CueLayout(self.max_line_width, self.max_line_count),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was asked for and had no effect, in sentences."""
        return tuple(self._without_effect())

    def _without_effect(self) -> Iterator[str]:
        for name, languages in (("language", (self.language,)), ("languages", self.languages)):
            if foreign := [language for language in languages if language and not understood(language, self._known)]:
                only = ", ".join(NAMES[code].capitalize() for code in self._known)
                yield f"`{name}`: the model knows {only} only; {', '.join(foreign)[:_MAX_TOLD]!r} had no effect."
        if self.temperature:
            yield "`temperature` had no effect: decoding is greedy."
        if self.known_speaker_names:
            yield "`known_speaker_names` had no effect: speakers are not told apart."

    def job_options(self, vad: VadOptions) -> JobOptions:
        """Options of the job, on top of the server's own `vad`."""
        return JobOptions(
            self.chunking_strategy.applied_to(vad) if self.chunking_strategy else vad,
            keep_tokens="logprobs" in self.include,
            audio_track=self.audio_track,
            hints=self.hints,
            model=self.model,
        )


_LISTS = frozenset({"timestamp_granularities", "include", "languages", "keywords", "known_speaker_names"})
_BEGINNINGS = frozenset({"prompt", "known_speaker_names"})
"""Fields that may be longer than what is kept of them."""


def wanted(field_name: str) -> Keep:
    """How much of a form's field, named with or without brackets, means anything to this server."""
    name = _split(field_name)[0]
    if name in _BEGINNINGS:
        return Keep.BEGINNING
    if name == "keywords":
        return Keep.LIST
    return Keep.WHOLE if name in TranscriptionForm.model_fields else Keep.NOTHING


def given(text: str) -> str | None:
    """A parameter's value as a client wrote it; None if that stands for no value at all."""
    value = text.strip()
    return None if value.lower() in _NOT_GIVEN else value


def parse_form(
    fields: Iterable[tuple[str, str]],
    settings: Settings,
    languages: Callable[[str], tuple[str, ...]] = lambda model: RUSSIAN,
) -> TranscriptionForm:
    """The form's fields as options; BadRequest names the one at fault, UnknownModel a model that is not served.

    Lists may be bracketed (`include[]`), bare, repeated, comma-separated, JSON or all of it; an object is bracketed
    (`chunking_strategy[type]`) or JSON. Of a scalar given twice the last counts. An empty value, or `null`, is none.
    """
    values = {"response_format": settings.default_response_format, **_values(fields)}
    try:
        form = TranscriptionForm.model_validate({"model": settings.model_name, **values})
    except ValidationError as exc:
        raise bad_request(exc) from exc
    if "model" in values and not settings.accepts_model(form.model):
        raise UnknownModel(f"This server has no model {form.model[:100]!r}; GET /v1/models lists what it answers to.")
    form._known = languages(form.model)
    return form


def _values(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field_name, text in fields:
        name, key = _split(field_name)
        value = given(text)
        if value is None:
            continue
        if name in _LISTS:
            if items := _items(value):
                values.setdefault(name, []).extend(items)
        elif key:
            earlier = values.get(name)
            values[name] = (earlier if isinstance(earlier, dict) else {}) | {key: value}
        else:
            values[name] = value
    return values


def unquoted(text: str) -> str:
    """`"text"` → text: BentoML's client makes JSON of every value, of texts too."""
    with suppress(ValueError):
        if text.startswith('"') and isinstance(value := from_json(text), str):
            return value
    return text


def _items(text: str) -> list[Any]:
    """`["word"]` and `word,segment` → the list; what its items may be is for the field to say."""
    if text.startswith("["):
        try:
            items = from_json(text)
        except ValueError:
            pass
        else:
            return list(items)
    return [item.strip() for item in text.split(",") if item.strip()]


def _split(field_name: str) -> tuple[str, str]:
    """`chunking_strategy[type]` → its name and key; `include[]` and `include` have no key."""
    match = _BRACKETS.fullmatch(field_name)
    return (match["name"], match["key"] or "") if match else (field_name, "")


def bad_request(exc: ValidationError) -> BadRequest:
    """The first complaint, in the form's own words: `chunking_strategy[threshold]`."""
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    name, *inner = first["loc"]
    param = str(name) + "".join(f"[{key}]" for key in inner if isinstance(key, str))
    message = first["msg"].removeprefix("Value error, ")
    return BadRequest(f"{param}: {message}", param)
