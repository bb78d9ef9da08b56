"""The settings: environment variables and `.env`, validated once, never changed afterwards.

`asr_core.configuration` reads them, and says what is wrong with them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from asr_core.types import OFFICIAL_MODELS, PrecisionSetting, ResponseFormat, VadOptions

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

    model: str = Field("v3_ctc", description="official name, `demo`, or path to a .ckpt")
    model_aliases: Annotated[frozenset[str], NoDecode] = Field(
        OPENAI_MODELS, description="further names that requests may use for the loaded model"
    )
    allowed_models: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(), description="model names that requests may use; empty means the loaded model's"
    )
    engine: Literal["native", "gigaam"] = Field("native", description="our network, or the gigaam package")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto: cuda, then mps, then cpu")
    precision: PrecisionSetting = Field("auto", description="of the network's linear layers")
    models_dir: Path = Field(Path("models"), description="where weights are kept")
    tmpdir: Path | None = Field(None, description="where uploads and tasks' results lie; empty: the system's folder")
    num_threads: int = Field(0, ge=0, le=1024, description="compute threads; 0 means the cores this process may use")
    batch_size: int = Field(4, ge=1, le=256, description="chunks computed together, at most")

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
        if value not in {*OFFICIAL_MODELS, "demo"} and not value.endswith(".ckpt"):
            raise ValueError(f"takes {', '.join(OFFICIAL_MODELS)}, demo, or the path of a .ckpt file")
        return value

    @field_validator("tmpdir", mode="before")
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
    def model_name(self) -> str:
        """What the loaded model is called in answers: an official name, `demo`, or a checkpoint's file stem."""
        return Path(self.model).stem if self.model.endswith(".ckpt") else self.model

    @property
    def vad(self) -> VadOptions:
        """What a job hears as speech, unless its request says otherwise."""
        return VadOptions(threshold=self.vad_threshold)

    @property
    def served_models(self) -> tuple[str, ...]:
        """The names that requests may use, aliases last; whatever they ask for, the loaded model answers."""
        own = self.allowed_models or {self.model_name}
        return (*sorted(own), *sorted(self.model_aliases - own))

    def accepts_model(self, name: str) -> bool:
        """Whether a request may ask for `name`."""
        return name in self.served_models
