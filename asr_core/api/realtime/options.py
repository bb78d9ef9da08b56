"""A transcription session's options, as OpenAI's clients write them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from asr_core.api.form import Words
from asr_core.errors import BadRequest, UnknownModel
from asr_core.live.sound import Encoding, Rate
from asr_core.live.turns import TurnOptions
from asr_core.settings import Settings
from asr_core.types import Hints, Keyword

SILENCE_MS = {"low": 1500, "medium": 800, "auto": 800, "high": 400}
"""How long a silence ends an utterance, by `semantic_vad`'s eagerness: nothing here judges what is being said."""

DEFAULT = TurnOptions()

LOGPROBS = "item.input_audio_transcription.logprobs"

Text = Annotated[str, Field(max_length=10_000)]
Texts = Annotated[list[Annotated[str, Field(max_length=1_000)]], Field(max_length=1_000)]


class _Options(BaseModel):
    """Fields that nobody knows are an error, so that a typing mistake does not pass for a setting."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Format(_Options):
    type: Encoding = "audio/pcm"
    rate: Rate | None = None
    """Hz; of G.711 always 8000."""

    @model_validator(mode="after")
    def _g711_has_one_rate(self) -> Format:
        if self.type != "audio/pcm" and self.rate not in (None, 8_000):
            raise ValueError("G.711 has 8000 samples a second")
        return self

    @property
    def hertz(self) -> Rate:
        return self.rate or (24_000 if self.type == "audio/pcm" else 8_000)


class Transcription(_Options):
    """`language`, `languages` and `delay` change nothing: a model knows by itself what is spoken, as soon as it can."""

    model: Text | None = None
    language: Text | None = None
    languages: Texts | None = None
    prompt: Text | None = None
    keywords: Words | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class ServerVad(_Options):
    type: Literal["server_vad"] = "server_vad"
    threshold: Annotated[float, Field(gt=0, lt=1)] = DEFAULT.threshold
    prefix_padding_ms: Annotated[int, Field(ge=0, le=5_000)] = DEFAULT.prefix_padding_ms
    silence_duration_ms: Annotated[int, Field(ge=32, le=10_000)] = DEFAULT.silence_duration_ms
    idle_timeout_ms: int | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None
    """Like the two before it about answers that a conversation would have."""

    @property
    def turns(self) -> TurnOptions:
        return TurnOptions(self.threshold, self.prefix_padding_ms, self.silence_duration_ms)


class SemanticVad(_Options):
    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool | None = None
    interrupt_response: bool | None = None

    @property
    def turns(self) -> TurnOptions:
        return TurnOptions(silence_duration_ms=SILENCE_MS[self.eagerness])


class NoiseReduction(_Options):
    """Changes nothing: the models have learnt to hear through noise."""

    type: Literal["near_field", "far_field"] | None = None
    strength: float | None = None


class Input(_Options):
    format: Format = Format()
    transcription: Transcription | None = None
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None = ServerVad()
    noise_reduction: NoiseReduction | None = None


class Audio(_Options):
    input: Input = Input()


class SessionOptions(_Options):
    """`session` of `session.update`."""

    type: Literal["transcription"] = "transcription"
    audio: Audio = Audio()
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None

    @property
    def turns(self) -> TurnOptions | None:
        detection = self.audio.input.turn_detection
        return detection.turns if detection else None

    @property
    def logprobs(self) -> bool:
        return LOGPROBS in (self.include or ())

    @property
    def model(self) -> str:
        """The name that the client has for it; nothing for the default."""
        return (self.audio.input.transcription and self.audio.input.transcription.model) or ""

    @property
    def hints(self) -> Hints:
        asked = self.audio.input.transcription or Transcription()
        return Hints(tuple(map(Keyword, asked.keywords or ())), asked.prompt or "")

    def shown(self, session_id: str) -> dict[str, Any]:
        """What the client is told of its session."""
        sound = self.audio.input.format
        shown = self.model_dump(exclude_none=True)
        shown["audio"]["input"]["format"] = {"type": sound.type, "rate": sound.hertz}
        shown["audio"]["input"]["turn_detection"] = shown["audio"]["input"].get("turn_detection")
        return {"object": "realtime.transcription_session", "id": session_id, **shown}


def session_options(given: Any, settings: Settings, base: SessionOptions | None = None) -> SessionOptions:
    """`given`, and for what it leaves out what `base` has. Raises BadRequest or UnknownModel."""
    if not isinstance(given, dict):
        raise BadRequest("session: Input should be an object", "session")
    merged = _merged(base.model_dump(exclude_unset=True), given) if base else given
    try:
        options = SessionOptions.model_validate(merged)
    except ValidationError as error:
        raise complaint(error, "session") from None
    wanted = options.audio.input.transcription
    if wanted and wanted.model and not settings.accepts_model(wanted.model):
        raise UnknownModel(f"This server has no model {wanted.model[:100]!r}; GET /v1/models lists what it answers to.")
    return options


def _merged(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Objects are merged field by field, down to those that are one choice: a format, a kind of turn detection."""
    result = dict(base)
    for name, value in given.items():
        earlier: Any = base.get(name)
        goes_on = isinstance(earlier, dict) and isinstance(value, dict) and name != "format"
        result[name] = _merged(earlier, value) if goes_on and _same_kind(earlier, value) else value
    return result


def _same_kind(earlier: Any, given: Any) -> bool:
    kind = earlier.get("type")
    return bool(given.get("type", kind) == kind)


def complaint(error: ValidationError, inside: str = "") -> BadRequest:
    """The first thing that is wrong, by its path: `session.audio.input.foo`."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    kinds = {"server_vad", "semantic_vad"}  # pydantic names the member of a union as well
    path = ".".join(str(part) for part in ((inside,) if inside else ()) + first["loc"] if part not in kinds)[:200]
    if first["type"] == "extra_forbidden":
        return BadRequest(f"Unknown parameter: '{path}'.", path)
    return BadRequest(f"{path}: {first['msg'].removeprefix('Value error, ')}", path)
