"""The transcription form: every alias and quirk of its fields, turned into one validated options object."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import from_json

from asr_core.errors import BadRequest, UnknownModel
from asr_core.settings import Settings
from asr_core.text.formats import RenderOptions
from asr_core.types import JobOptions, ResponseFormat, VadOptions

_BRACKETS = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<key>[^\[\]]*)\])?")
_LISTS = frozenset({"timestamp_granularities", "include"})


class ServerVad(BaseModel):
    """`chunking_strategy` of type `server_vad`; a knob that is not given stays as the server is configured."""

    model_config = ConfigDict(frozen=True)

    type: Literal["server_vad"] = "server_vad"
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


class TranscriptionForm(BaseModel):
    """What a request chose.

    `language`, `prompt`, `keywords`, `languages`, `known_speaker_names`, `known_speaker_references` and fields that
    nobody knows are accepted and change nothing: clients send them to every server, and there is one language, no
    prompting and no diarization here. `temperature` must be one, and changes nothing either: decoding is greedy.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    response_format: ResponseFormat
    stream: bool = False
    temperature: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    timestamp_granularities: frozenset[Literal["word", "segment"]] = frozenset({"segment"})
    include: frozenset[Literal["logprobs"]] = frozenset()
    chunking_strategy: ServerVad | None = None
    audio_track: Annotated[int, Field(ge=0)] | None = None

    @field_validator("chunking_strategy", mode="before")
    @classmethod
    def _spell_out(cls, value: Any) -> Any:
        """`auto` → None, `server_vad` or a JSON object as text → the object."""
        if value == "auto":
            return None
        if value == "server_vad":
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
            segment_timestamps="segment" in self.timestamp_granularities,
            logprobs="logprobs" in self.include,
        )

    def job_options(self, vad: VadOptions) -> JobOptions:
        """Options of the job, on top of the server's own `vad`."""
        return JobOptions(
            self.chunking_strategy.applied_to(vad) if self.chunking_strategy else vad,
            keep_tokens="logprobs" in self.include,
            audio_track=self.audio_track,
        )


def is_known(field_name: str) -> bool:
    """Whether `field_name`, with or without brackets, means anything to this server."""
    return _split(field_name)[0] in TranscriptionForm.model_fields


def parse_form(fields: Iterable[tuple[str, str]], settings: Settings) -> TranscriptionForm:
    """The form's fields as options; BadRequest names the one at fault, UnknownModel a model that is not served.

    Lists may be bracketed (`include[]`), bare, repeated, comma-separated or all of it; an object is bracketed
    (`chunking_strategy[type]`) or JSON. Of a scalar given twice the last counts. An empty value is not given.
    """
    values: dict[str, Any] = {"response_format": settings.default_response_format}
    for field_name, text in fields:
        name, key = _split(field_name)
        value = text.strip()
        if not value:
            continue
        if name in _LISTS:
            values.setdefault(name, []).extend(item.strip() for item in value.split(",") if item.strip())
        elif key:
            earlier = values.get(name)
            values[name] = (earlier if isinstance(earlier, dict) else {}) | {key: value}
        else:
            values[name] = value
    try:
        form = TranscriptionForm.model_validate({"model": settings.model_name, **values})
    except ValidationError as exc:
        raise bad_request(exc) from exc
    if "model" in values and not settings.accepts_model(form.model):
        raise UnknownModel(f"This server has no model {form.model[:100]!r}; GET /v1/models lists what it answers to.")
    return form


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
