"""The fields that ask who spoke, of every route that takes a recording."""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator
from starlette.concurrency import run_in_threadpool

from asr_core.api.fields import Lower
from asr_core.audio.decode import decode
from asr_core.errors import BadAudio, BadRequest
from asr_core.speakers.count import speaker_count
from asr_core.storage import room_for
from asr_core.types import (
    MAX_SPEAKERS,
    SAMPLE_RATE,
    ChannelMode,
    JobOptions,
    KnownSpeaker,
    Pcm,
    SpeakerCount,
    VadOptions,
)

MAX_KNOWN = 4
"""Known speakers, as in OpenAI's API."""

REFERENCE_S = (1.5, 12.0)
"""How long a known speaker's sound may be: OpenAI says 2 to 10 s."""

_DATA_URL = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)


def _on_one_line(name: str) -> str:
    return " ".join(name.split())


_Count = Literal["auto"] | Annotated[int, Field(ge=1, le=MAX_SPEAKERS)]
SpeakerName = Annotated[str, AfterValidator(_on_one_line), Field(min_length=1, max_length=80)]


class SpeakerFields(BaseModel):
    """Ours: OpenAI's API has no word for channels, and tells speakers in one format only."""

    model_config = ConfigDict(frozen=True)

    channels: Annotated[ChannelMode, Lower] | None = None
    speakers: Annotated[SpeakerCount, PlainValidator(speaker_count, json_schema_input_type=_Count)] | None = None

    def job_options(self, vad: VadOptions) -> JobOptions:
        return JobOptions(vad, channels=self.channels or "mix", speakers=self.speakers)


async def known_speakers(names: Sequence[str], references: Sequence[str], ffmpeg: str) -> tuple[KnownSpeaker, ...]:
    """The speakers whose voices a request brings, as data: URLs. Raises BadRequest for what cannot be one."""
    known = []
    for name, reference in zip(names, references, strict=False):
        try:
            known.append(KnownSpeaker(name, await _sound(reference, ffmpeg)))
        except BadAudio as exc:
            message = str(exc).replace("The recording", "The sound").replace("The file", "The sound")
            raise BadRequest(f"known_speaker_references: {name[:40]!r}: {message}", "known_speaker_references") from exc
    return tuple(known)


async def _sound(reference: str, ffmpeg: str) -> Pcm:
    scheme = _DATA_URL.match(reference)
    if scheme is None:
        raise BadAudio("It should be a data: URL with base64 in it; nothing is fetched.")
    try:
        data = base64.b64decode(reference[scheme.end() :], validate=True)
    except binascii.Error as exc:
        raise BadAudio("It is not base64.") from exc
    shortest, longest = REFERENCE_S
    with tempfile.NamedTemporaryFile() as file:
        await run_in_threadpool(_write, file, data)
        async with decode(Path(file.name), max_seconds=longest, ffmpeg=ffmpeg) as blocks:
            pcm = np.concatenate([block async for block in blocks])
    if len(pcm) < shortest * SAMPLE_RATE:
        raise BadAudio(f"The sound is shorter than {shortest:g} s.")
    return pcm


def _write(file: IO[bytes], data: bytes) -> None:
    with room_for("uploads"):
        file.write(data)
        file.flush()
