"""The settings: environment variables and `.env`, validated once, never changed afterwards.

`asr_core.configuration` reads them, and says what is wrong with them.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from asr_core.types import OFFICIAL_MODELS, PrecisionSetting, ResponseFormat, VadOptions, is_path, name_of
from asr_core.wordlist import read_wordlist

OPENAI_MODELS = frozenset(
    {
        "whisper-1",
        "gpt-transcribe",
        "gpt-4o-transcribe",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-transcribe-2025-12-15",
        "gpt-4o-transcribe-diarize",
        "gpt-live-transcribe",
        "gpt-realtime-whisper",
    }
)
"""What OpenAI's own transcription models are called: clients have these names built in."""

Seconds = Annotated[float, Field(ge=0.1, allow_inf_nan=False)]


class Settings(BaseSettings):
    """One field per environment variable, upper case; a list is written comma-separated."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8-sig",  # some editors begin a file with a byte order mark
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # the input of one field's error may be all of them, keys included
    )

    model: str = Field(
        "v3_ctc", description="official names, `demo`, paths of a .ckpt or of a folder; the first is the default"
    )
    model_aliases: Annotated[frozenset[str], NoDecode] = Field(
        OPENAI_MODELS, description="further names that requests may use for the default model"
    )
    allowed_models: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(), description="model names that requests may use; empty means the loaded models'"
    )
    engine: Literal["native", "gigaam"] = Field("native", description="our network, or the gigaam package")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto: cuda, then mps, then cpu")
    precision: PrecisionSetting = Field("auto", description="of the network's linear layers")
    models_dir: Path = Field(Path("models"), description="where weights are kept")
    idle_unload_minutes: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="a model that nobody asks for in so long leaves memory; 0: never"
    )
    models_url: str = Field("", description="where weights are downloaded from; empty: their authors' server")
    tmpdir: Path | None = Field(None, description="where uploads and tasks' results lie; empty: the system's folder")
    num_threads: int = Field(0, ge=0, le=1024, description="compute threads; 0 means the cores this process may use")
    batch_size: int = Field(4, ge=1, le=256, description="chunks computed together, at most")

    keywords_file: Path | None = Field(None, description="names and terms to listen for, one a line; empty: none")

    api_key: Annotated[tuple[SecretStr, ...], NoDecode] = Field((), description="accepted keys; empty: none needed")
    max_queue: int = Field(8, ge=1, description="jobs admitted at once, running or waiting")
    max_live: int = Field(4, ge=0, le=1000, description="live sessions at once; 0: none")
    live_idle_seconds: Seconds = Field(300.0, description="a live session without sound for so long ends")
    max_upload_mb: int = Field(2048, ge=1, description="largest request body, MiB")
    max_audio_seconds: Seconds = Field(36_000.0, description="longest recording")
    task_retention_hours: float = Field(
        24.0, gt=0, allow_inf_nan=False, description="how long results of tasks are kept"
    )
    default_response_format: ResponseFormat = Field("json", description="when a request names none")

    vad_threshold: float = Field(0.25, gt=0, lt=1, description="speech probability above which a window is speech")
    vad_min_duration: Seconds = Field(15.0, description="a chunk this long ends at the next pause, s")
    vad_max_duration: Seconds = Field(22.0, description="a chunk is not joined beyond this, s")
    vad_strict_limit: Seconds = Field(30.0, description="no chunk is longer than this, s")
    vad_new_chunk_threshold: float = Field(0.2, ge=0, allow_inf_nan=False, description="what counts as a pause, s")

    ffmpeg: str = Field("", description="program to decode with; empty: the bundled one, else the one on PATH")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe level logged")
    log_json: bool = Field(False, description="one JSON object a line instead of text")
    host: str = Field("0.0.0.0", min_length=1, description="address to listen on")  # noqa: S104 - a server for the local network
    port: int = Field(3000, ge=1, le=65535, description="port to listen on")
    wyoming_port: int = Field(0, ge=0, le=65535, description="port for Wyoming, which knows no keys; 0: none")

    @field_validator("model_aliases", "allowed_models", "api_key", mode="before")
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        """`a, b` → ["a", "b"]; what is a list already stays one."""
        if isinstance(value, str):
            return [item.strip() for item in value.split(",") if item.strip()]
        return value

    @field_validator("model")
    @classmethod
    def _is_a_model(cls, value: str) -> str:
        models = [item.strip() for item in value.split(",")]
        if not all(model in {*OFFICIAL_MODELS, "demo"} or is_path(model) for model in models):
            raise ValueError(f"takes {', '.join(OFFICIAL_MODELS)}, demo, or the path of a .ckpt file or a folder")
        if len({name_of(model) for model in models}) < len(models):
            raise ValueError("takes models of different names")
        return ",".join(models)

    @field_validator("models_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        address = urlsplit(value)
        if value and not (address.scheme in ("http", "https") and address.hostname):
            raise ValueError("takes the http or https address of a folder")
        if address.username or address.password:  # it is logged, and told to whoever asks why the model is not there
            raise ValueError("takes an address without a password: put that into ~/.netrc")
        return value.rstrip("/")

    @field_validator("tmpdir", "keywords_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return value or None

    @field_validator("tmpdir")
    @classmethod
    def _is_a_folder(cls, value: Path | None) -> Path | None:
        """Python itself would go to /tmp instead, without a word."""
        if value and not (value.is_dir() and os.access(value, os.W_OK | os.X_OK)):
            raise ValueError("takes a folder that is there and that this user may write to")
        return value

    @field_validator("keywords_file")
    @classmethod
    def _is_a_wordlist(cls, value: Path | None) -> Path | None:
        if value:
            read_wordlist(value)
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _durations_are_ordered(self) -> Settings:
        if not self.vad_min_duration <= self.vad_max_duration <= self.vad_strict_limit:
            raise ValueError(
                "VAD_MIN_DURATION may not exceed VAD_MAX_DURATION, nor that VAD_STRICT_LIMIT; "
                f"they are {self.vad_min_duration:g}, {self.vad_max_duration:g} and {self.vad_strict_limit:g} s"
            )
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """What is loaded, as MODEL has it; the first is the default."""
        return tuple(self.model.split(","))

    @property
    def model_names(self) -> tuple[str, ...]:
        """What the loaded models are called in requests and answers."""
        return tuple(map(name_of, self.models))

    @property
    def model_name(self) -> str:
        """The default one's."""
        return self.model_names[0]

    @property
    def idle_unload_s(self) -> float:
        """Seconds after which a model that nobody asks for leaves memory."""
        return self.idle_unload_minutes * 60 or math.inf

    @property
    def alone(self) -> Settings:
        """The same with the default model and no other."""
        return self.model_copy(update={"model": self.models[0]})

    @property
    def vad(self) -> VadOptions:
        """What a job hears as speech, unless its request says otherwise."""
        return VadOptions(threshold=self.vad_threshold)

    @property
    def served_models(self) -> tuple[str, ...]:
        """The names that requests may use, aliases last; who asks for no loaded model by its name gets the default."""
        own = self.allowed_models or {*self.model_names}
        return (*sorted(own), *sorted(self.model_aliases - own))

    def accepts_model(self, name: str) -> bool:
        """Whether a request may ask for `name`."""
        return name in self.served_models

    def called(self, name: str) -> str:
        """The loaded model that a request for `name` means."""
        return name if name in self.model_names and self.accepts_model(name) else self.model_name
