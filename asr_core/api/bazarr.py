"""POST /asr and /detect-language: whisper-asr-webservice's dialect, which Bazarr speaks.

The dialect's parameters are in the query; the recording is the form's `audio_file`, and with `encode=false` it is bare
samples. Bazarr saves whatever it is answered as subtitles, so what cannot be done is refused: a translation, or a
transcript of another language than Russian.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.responses import JSONResponse, Response
from starlette.types import Send

from asr_core.api.answer import AnswerToUpload
from asr_core.api.backend import Backend
from asr_core.api.fields import Lower, bad_request, given
from asr_core.api.form import LineCount, LineWidth, is_russian
from asr_core.api.native import segment_with_words
from asr_core.api.upload import Upload, no_fields
from asr_core.text.cues import LINE_COUNT, LINE_WIDTH, CueLayout
from asr_core.text.formats import LANGUAGE, RenderOptions, render, told
from asr_core.types import SAMPLE_RATE, JobOptions, Transcript

FILE_FIELD = "audio_file"
LANGUAGE_CODE = "ru"

TO_THE_END = 2**32 - 1
"""As a size in a wav's header: it goes on for as long as there is data."""

WAV_HEADER = struct.pack(
    "<4sI4s4sIHHIIHH4sI",
    *(b"RIFF", TO_THE_END, b"WAVE"),
    *(b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16),
    *(b"data", TO_THE_END),
)
"""What turns 16 kHz mono s16le samples into a file that says what it is."""


class Query(BaseModel):
    """What a request chose; parameters that are not named here mean nothing to this server."""

    model_config = ConfigDict(frozen=True)

    task: Annotated[Literal["transcribe"], Lower] = "transcribe"
    language: str = LANGUAGE_CODE
    output: Annotated[Literal["txt", "vtt", "srt", "tsv", "json"], Lower] = "txt"
    encode: bool = True
    word_timestamps: bool = False
    max_line_width: LineWidth = LINE_WIDTH
    max_line_count: LineCount = LINE_COUNT
    audio_track: Annotated[int, Field(ge=0)] | None = None
    """Ours: which of several sound tracks to hear."""

    @field_validator("language")
    @classmethod
    def _check_russian(cls, language: str) -> str:
        if not is_russian(language):
            raise ValueError("Input should be 'ru' or 'russian': the model knows no other language")
        return language

    @property
    def prefix(self) -> bytes:
        """What has to be put before the recording for ffmpeg to know it."""
        return b"" if self.encode else WAV_HEADER


def parse_query(parameters: Mapping[str, str]) -> Query:
    """The request's query as options; BadRequest names the parameter at fault. An empty value, or `null`, is none."""
    try:
        return Query.model_validate({name: value for name, text in parameters.items() if (value := given(text))})
    except ValidationError as exc:
        raise bad_request(exc) from exc


def transcription(backend: Backend, parameters: Mapping[str, str]) -> Response:
    """The answer to POST /asr."""
    query = parse_query(parameters)

    async def work(upload: Upload, send: Send) -> Response:
        async with backend.job(upload.path, JobOptions(backend.settings.vad, audio_track=query.audio_track)) as job:
            transcript = await job.transcript()
        return await backend.render(job, partial(_rendered, transcript, query))

    return AnswerToUpload(backend, work, wanted=no_fields, file_field=FILE_FIELD, prefix=query.prefix)


def detection(backend: Backend) -> Response:
    """The answer to POST /detect-language: the only language that the models know, whatever is spoken.

    Bazarr asks for recordings that do not name their language. `confidence` is there because the dialect has it.
    """

    async def work(upload: Upload, send: Send) -> Response:
        return JSONResponse({"detected_language": LANGUAGE, "language_code": LANGUAGE_CODE, "confidence": 1.0})

    return AnswerToUpload(backend, work, wanted=no_fields, file_field=FILE_FIELD)


def as_bearer(authorization: str | None) -> str | None:
    """An `Authorization` header with Basic credentials as one with a bearer's: the password is the key.

    Bazarr has a field for the server's URL and none for a key, but `http://any:KEY@host` becomes Basic credentials.
    """
    scheme, _, credentials = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return authorization
    try:
        password = base64.b64decode(credentials, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return None
    return f"Bearer {password.decode('latin-1')}"


def _rendered(transcript: Transcript, query: Query) -> Response:
    if query.output == "json":
        return JSONResponse(_whisper_result(transcript, word_timestamps=query.word_timestamps))
    options = RenderOptions(layout=CueLayout(query.max_line_width, query.max_line_count))
    rendered = render(transcript, "text" if query.output == "txt" else query.output, options)
    return Response(rendered.body, media_type=rendered.media_type)


def _whisper_result(transcript: Transcript, *, word_timestamps: bool) -> dict[str, Any]:
    """What Whisper's own `transcribe` returns: words are inside their segments."""
    segments = [segment_with_words(segment) for segment in transcript.segments]
    if not word_timestamps:
        for segment in segments:
            del segment["words"]
    return {"text": transcript.text, "segments": segments, "language": LANGUAGE_CODE} | told(transcript)
