"""POST /asr and /detect-language: whisper-asr-webservice's dialect, which Bazarr speaks.

The dialect's parameters are in the query; the recording is the form's `audio_file`, and with `encode=false` it is bare
samples. Bazarr saves whatever it is answered as subtitles, so what cannot be done is refused: a translation, or a
transcript of a language that the model does not know.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from starlette.responses import JSONResponse, Response
from starlette.types import Send

from asr_core.api.answer import AnswerToUpload
from asr_core.api.backend import Backend
from asr_core.api.fields import Lower, bad_request, given
from asr_core.api.form import AudioTrack, LineCount, LineWidth
from asr_core.api.native import segment_with_words
from asr_core.api.speakers import SpeakerFields
from asr_core.api.upload import Upload, no_fields
from asr_core.text.cues import LINE_COUNT, LINE_WIDTH, CueLayout
from asr_core.text.encoding import to_json
from asr_core.text.formats import RenderOptions, render, told
from asr_core.text.languages import NAMES, main_language, shares, understood
from asr_core.types import MULTILINGUAL, RUSSIAN, SAMPLE_RATE, Hints, JobOptions, SpeakerCount, Transcript, VadOptions

FILE_FIELD = "audio_file"
ENOUGH_WORDS = 50
"""Words by whose letters a recording's language is told; the rest of it is not heard for that."""

MAX_PROMPT_CHARS = 16_384

TO_THE_END = 2**32 - 1
"""As a size in a wav's header: it goes on for as long as there is data."""

WAV_HEADER = struct.pack(
    "<4sI4s4sIHHIIHH4sI",
    *(b"RIFF", TO_THE_END, b"WAVE"),
    *(b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16),
    *(b"data", TO_THE_END),
)
"""What turns 16 kHz mono s16le samples into a file that says what it is."""


class Query(SpeakerFields):
    """What a request chose; parameters that are not named here mean nothing to this server."""

    task: Annotated[Literal["transcribe"], Lower] = "transcribe"
    language: str = "auto"
    output: Annotated[Literal["txt", "vtt", "srt", "tsv", "json"], Lower] = "txt"
    encode: bool = True
    word_timestamps: bool = False
    max_line_width: LineWidth = LINE_WIDTH
    max_line_count: LineCount = LINE_COUNT
    initial_prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARS)] = ""
    """The names and unknown words in it are listened for."""
    audio_track: AudioTrack = None
    """Ours: which of several sound tracks to hear."""
    diarize: bool = False
    """The dialect's word for `speakers=auto`."""

    @field_validator("language")
    @classmethod
    def _check_known(cls, language: str, info: ValidationInfo) -> str:
        if not understood(language, known := info.context or RUSSIAN):
            spellings = " or ".join(f"'{code}' or '{NAMES[code]}'" for code in known)
            raise ValueError(f"Input should be {spellings}: the model knows no other language")
        return language

    def job_options(self, vad: VadOptions) -> JobOptions:
        speakers: SpeakerCount | None = self.speakers or ("auto" if self.diarize else None)
        hints = Hints(prompt=self.initial_prompt)
        return replace(super().job_options(vad), speakers=speakers, audio_track=self.audio_track, hints=hints)

    @property
    def prefix(self) -> bytes:
        """What has to be put before the recording for ffmpeg to know it."""
        return b"" if self.encode else WAV_HEADER


def parse_query(parameters: Mapping[str, str], known_languages: tuple[str, ...] = RUSSIAN) -> Query:
    """The request's query as options; BadRequest names the parameter at fault. An empty value, or `null`, is none."""
    values = {name: value for name, text in parameters.items() if (value := given(text))}
    try:
        return Query.model_validate(values, context=known_languages)
    except ValidationError as exc:
        raise bad_request(exc) from exc


def transcription(backend: Backend, parameters: Mapping[str, str]) -> Response:
    """The answer to POST /asr."""
    status = backend.engine.status
    # What a model knows is seen when it is loaded; until then the answer is that it is not.
    query = parse_query(parameters, status.languages if status.ready else MULTILINGUAL)

    async def work(upload: Upload, send: Send) -> Response:
        async with backend.job(upload.path, query.job_options(backend.settings.vad)) as job:
            transcript = await job.transcript()
        return await backend.render(job, partial(_rendered, transcript, query))

    return AnswerToUpload(backend, work, wanted=no_fields, file_field=FILE_FIELD, prefix=query.prefix)


def detection(backend: Backend, parameters: Mapping[str, str]) -> Response:
    """The answer to POST /detect-language: the language of most of the first words, or the only one that is known.

    Bazarr asks for recordings that do not name their language. `confidence` is the language's share of the words.
    """
    query = parse_query({"encode": parameters.get("encode", "")})

    async def work(upload: Upload, send: Send) -> Response:
        known = backend.engine.status.languages
        texts = await _first_words(backend, upload.path) if len(known) > 1 else []
        code, share = next(iter(shares(texts, known).items()), (known[0], 0.0))
        return JSONResponse({"detected_language": NAMES[code], "language_code": code, "confidence": share})

    return AnswerToUpload(backend, work, wanted=no_fields, file_field=FILE_FIELD, prefix=query.prefix)


async def _first_words(backend: Backend, path: Path) -> list[str]:
    texts: list[str] = []
    async with backend.job(path, JobOptions(backend.settings.vad)) as job:
        async for segment in job:
            texts.append(segment.text)
            if sum(len(text.split()) for text in texts) >= ENOUGH_WORDS:
                break
    return texts


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
        result = _whisper_result(transcript, word_timestamps=query.word_timestamps)
        return Response(to_json(result).encode(), media_type="application/json")
    options = RenderOptions(turns=True, layout=CueLayout(query.max_line_width, query.max_line_count))
    rendered = render(transcript, "text" if query.output == "txt" else query.output, options)
    return Response(rendered.body, media_type=rendered.media_type)


def _whisper_result(transcript: Transcript, *, word_timestamps: bool) -> dict[str, Any]:
    """What Whisper's own `transcribe` returns: words are inside their segments."""
    segments = [segment_with_words(segment) for segment in transcript.segments]
    if not word_timestamps:
        for segment in segments:
            del segment["words"]
    language = main_language((segment.text for segment in transcript.segments), transcript.known_languages)
    return {"text": transcript.text, "segments": segments, "language": language} | told(transcript)
