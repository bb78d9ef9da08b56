"""The transcription form: every alias and quirk of its fields, turned into one validated options object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import from_json

from asr_core.api.fields import Lower, bad_request, given, lower, split
from asr_core.api.multipart import Keep
from asr_core.api.speakers import MAX_KNOWN, SpeakerFields, SpeakerName
from asr_core.errors import UnknownModel
from asr_core.settings import Settings
from asr_core.text.cues import LINE_COUNT, LINE_WIDTH, MIN_LINE_WIDTH, CueLayout
from asr_core.text.formats import RenderOptions
from asr_core.text.languages import NAMES, understood
from asr_core.types import (
    RUSSIAN,
    Hints,
    JobOptions,
    Keyword,
    KeywordsSpelling,
    ResponseFormat,
    SpeakerCount,
    VadOptions,
)
from asr_core.wordlist import checked

_MAX_TOLD = 40
"""Characters of a client's own text that it is told back."""


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


class TranscriptionForm(HintsForm, SpeakerFields):
    """What a request chose.

    Clients send many fields to every server. `language`, `languages` and `temperature` are accepted and change nothing:
    a model of several languages finds out by itself which it hears, and nothing is drawn by chance. Whoever reads
    `verbose_json` is told so. Fields that nobody knows are dropped.

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
    known_speaker_names: Annotated[tuple[SpeakerName, ...], Field(max_length=MAX_KNOWN)] = ()
    known_speaker_references: Annotated[tuple[str, ...], Field(max_length=MAX_KNOWN)] = ()
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
    def diarized(self) -> bool:
        """Whether the answer's very format tells who spoke."""
        return self.response_format == "diarized_json"

    @property
    def asked_speakers(self) -> SpeakerCount | None:
        return self.speakers or ("auto" if self.diarized else None)

    @field_validator("known_speaker_references")
    @classmethod
    def _pair_up(cls, references: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if len(references) != len(info.data.get("known_speaker_names", references)):
            raise ValueError("There should be one for each of `known_speaker_names`")
        return references

    @property
    def streamed(self) -> bool:
        """Whether the answer is a stream of events; formats that cannot be are answered whole."""
        return self.stream and self.response_format in ("json", "text", "diarized_json")

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
        if self.known_speaker_names and not self.known_speaker_references:
            yield "`known_speaker_names` had no effect: there are no `known_speaker_references`."
        elif self.known_speaker_references and self.asked_speakers is None:
            yield "`known_speaker_references` had no effect: nobody asked who spoke."

    def job_options(self, vad: VadOptions) -> JobOptions:
        """Options of the job, on top of the server's own `vad`."""
        return replace(
            super().job_options(self.chunking_strategy.applied_to(vad) if self.chunking_strategy else vad),
            channels=self.channels or ("auto" if self.diarized else "mix"),
            speakers=self.asked_speakers,
            keep_tokens="logprobs" in self.include,
            audio_track=self.audio_track,
            hints=self.hints,
            model=self.model,
        )


_LISTS = frozenset({"timestamp_granularities", "include", "languages", "keywords", "known_speaker_names"})
_SOUNDS = "known_speaker_references"


def wanted(field_name: str) -> Keep:
    """How much of a form's field, named with or without brackets, means anything to this server."""
    name = split(field_name)[0]
    if name == "prompt":
        return Keep.BEGINNING
    if name == "keywords":
        return Keep.LIST
    if name == _SOUNDS:
        return Keep.SOUND
    return Keep.WHOLE if name in TranscriptionForm.model_fields else Keep.NOTHING


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
        name, key = split(field_name)
        value = given(text)
        if value is None:
            continue
        if name in _LISTS:
            if items := _items(value):
                values.setdefault(name, []).extend(items)
        elif name == _SOUNDS:  # data: URLs, which have commas in them
            values.setdefault(name, []).extend(_items(value) if value.startswith("[") else [value])
        elif key:
            earlier = values.get(name)
            values[name] = (earlier if isinstance(earlier, dict) else {}) | {key: value}
        else:
            values[name] = value
    return values


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
