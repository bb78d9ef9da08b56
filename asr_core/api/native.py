"""POST /transcribe and /transcribe_stream: what BentoML's Python client calls.

BentoML would read these uploads itself: into memory, on the event loop, and a text where the file belongs it would
fetch as a URL. So the paths are routes of ours that take the upload as the OpenAI route does; of BentoML's handling
only the published schema remains.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Send

from asr_core.api.answer import AnswerToUpload
from asr_core.api.backend import Backend
from asr_core.api.fields import bad_request, split, unquoted
from asr_core.api.form import AudioTrack, HintsForm, parse_form
from asr_core.api.form import wanted as wanted_of_form
from asr_core.api.multipart import Keep
from asr_core.api.problems import answer_to
from asr_core.api.speakers import SpeakerFields
from asr_core.api.stream import PING_S, LiveStream
from asr_core.api.upload import Upload
from asr_core.settings import Settings
from asr_core.text.formats import Rendered, RenderOptions, render, verbose_transcription
from asr_core.types import JobOptions, Segment, Transcript

EVERYTHING = RenderOptions(word_timestamps=True)
_NDJSON = "application/x-ndjson"
_BLANK = "\n"


class NativeForm(HintsForm, SpeakerFields):
    """What a call may choose besides the recording: a part of what OpenAI's form may."""

    audio_track: AudioTrack = None


def wanted(field_name: str) -> Keep:
    """How much of a form's field means anything to these routes."""
    return wanted_of_form(field_name) if split(field_name)[0] in NativeForm.model_fields else Keep.NOTHING


def job_options(upload: Upload, settings: Settings) -> JobOptions:
    """What the call chose. Raises BadRequest."""
    fields = [(name, unquoted(text)) for name, text in upload.fields]
    return parse_form(fields, settings).job_options(settings.vad)


def chosen(settings: Settings, **values: Any) -> JobOptions:
    """The same of a call that BentoML has read. Raises BadRequest."""
    try:
        form = NativeForm.model_validate(values)
    except ValidationError as exc:
        raise bad_request(exc) from exc
    return replace(form.job_options(settings.vad), audio_track=form.audio_track, hints=form.hints)


async def transcribe(backend: Backend, path: Path, options: JobOptions) -> dict[str, Any]:
    """The transcript as OpenAI's `verbose_json`, with segments and words."""
    answer: dict[str, Any] = json.loads((await _verbose_json(backend, path, options)).body)
    return answer


async def _verbose_json(backend: Backend, path: Path, options: JobOptions) -> Rendered:
    async with backend.job(path, options) as job:
        transcript = await job.transcript()
    return await backend.render(job, partial(render, transcript, "verbose_json", EVERYTHING))


async def transcribe_stream(backend: Backend, path: Path, options: JobOptions) -> AsyncGenerator[str, None]:
    """The transcript as lines, each a JSON object; a blank one says that the recording can be worked on.

    `{"type": "segment", …}` for each segment, with its words, as it is recognised; then `{"type": "done", "text", …}`.
    """
    segments: list[Segment] = []
    started = perf_counter()
    async with backend.job(path, options) as job:
        yield _BLANK
        async for segment in job:
            if not segments:
                backend.metrics.first_delta_seconds.observe(perf_counter() - started)
            segments.append(segment)
            yield _line({"type": "segment", **segment_with_words(segment)})
    transcript = Transcript(tuple(segments), job.duration_s, tuple(job.warnings), job.audio_track, job.known_languages)
    yield await backend.render(job, partial(_done_line, transcript))


def answer(backend: Backend) -> Response:
    """The answer to POST /transcribe, or to /transcribe_task by who waits for it."""

    async def work(upload: Upload, send: Send) -> Response:
        rendered = await _verbose_json(backend, upload.path, job_options(upload, backend.settings))
        return Response(rendered.body, media_type=rendered.media_type)

    return AnswerToUpload(backend, work, wanted=wanted)


def stream_answer(backend: Backend) -> Response:
    """The answer to POST /transcribe_stream."""

    async def work(upload: Upload, send: Send) -> ASGIApp:
        options = job_options(upload, backend.settings)
        async with aclosing(transcribe_stream(backend, upload.path, options)) as lines:
            ending, failure = await _send_lines(lines, send)
        if failure:
            backend.metrics.failed(failure)
        return ending

    return AnswerToUpload(backend, work, wanted=wanted)


async def _send_lines(
    lines: AsyncGenerator[str, None], send: Send, *, ping_s: float = PING_S
) -> tuple[ASGIApp, Exception | None]:
    """Send a response of `lines`, with blank ones where there is nothing to send; returns what sends the rest of it.

    What goes wrong before the first is raised; what does later is the last line, and returned as well.
    """
    await anext(lines)  # a blank one, such as the stream begins with
    stream = LiveStream(send, _NDJSON, _BLANK.encode(), ping_s=ping_s)
    failure: Exception | None = None
    try:
        async with stream:
            async for line in lines:
                await stream.write(line.encode())
    except ClientDisconnect:
        raise
    except Exception as exc:
        failure = exc
    last = _line({"type": "error", **answer_to(failure).body}).encode() if failure else b""
    return stream.ending(last), failure


def _done_line(transcript: Transcript) -> str:
    """Without the segments, which have been sent."""
    return _line({"type": "done", **verbose_transcription(transcript, RenderOptions(segment_timestamps=False))})


def _line(value: dict[str, Any]) -> str:
    """ASCII only: BentoML's client decodes whatever piece of a stream arrives, and must not cut a character in two."""
    return json.dumps(value, allow_nan=False) + "\n"


def segment_with_words(segment: Segment) -> dict[str, Any]:
    """OpenAI's verbose segment, and in it its `words`."""
    alone = verbose_transcription(Transcript((segment,), segment.end_s), EVERYTHING)
    return {**alone["segments"][0], "words": alone["words"]}
