"""POST /v1/audio/transcriptions: what is made of the form and the recording."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Send

from asr_core.api.answer import AnswerToUpload
from asr_core.api.backend import Backend
from asr_core.api.form import TranscriptionForm, parse_form, wanted
from asr_core.api.problems import answer_to
from asr_core.api.speakers import known_speakers
from asr_core.api.sse import DONE, LOADING, EventStream, delta_event, done_event, frame, segment_event
from asr_core.api.upload import Upload
from asr_core.text.formats import render
from asr_core.types import JobOptions, Segment, Transcript

if TYPE_CHECKING:
    from asr_core.engine.jobs import Job


def answer(backend: Backend, model: str = "") -> Response:
    """The answer to a request for a transcription by `model`, if its address names one."""

    async def work(upload: Upload, send: Send) -> ASGIApp:
        named = [("model", model)] if model else []
        form = parse_form([*upload.fields, *named], backend.settings, backend.engine.languages)
        options = form.job_options(backend.settings.vad)
        if options.speakers is not None:
            names, references = form.known_speaker_names, form.known_speaker_references
            options = replace(options, known_speakers=await known_speakers(names, references, backend.settings.ffmpeg))
        if not form.streamed:
            return await _whole(backend, upload.path, form, options)
        return await _stream(backend, upload.path, form, options, send)

    return AnswerToUpload(backend, work, wanted=wanted)


async def _whole(backend: Backend, path: Path, form: TranscriptionForm, options: JobOptions) -> Response:
    async with backend.job(path, options) as job:
        heard = await job.transcript()
    transcript = replace(heard, warnings=(*form.warnings, *heard.warnings))
    rendered = await backend.render(job, partial(render, transcript, form.response_format, form.render_options))
    return Response(rendered.body, media_type=rendered.media_type)


async def _stream(backend: Backend, path: Path, form: TranscriptionForm, options: JobOptions, send: Send) -> ASGIApp:
    """Send events; returns what sends the rest of them, for which the recording is not needed any more.

    What goes wrong before the first byte is raised; what does later is the last event.
    """
    stream, started = EventStream(send), perf_counter()
    try:
        async with backend.job(path, options) as job, stream:
            if not backend.engine.has_in_memory(job.model):
                await stream.write(LOADING)
            await _send_transcript(backend, job, form, stream, started)
    except ClientDisconnect:
        raise
    except Exception as exc:
        if not stream.started:
            raise
        backend.metrics.failed(exc)
        last = frame(answer_to(exc).body)
    else:
        last = DONE
    return stream.ending(last)


async def _send_transcript(
    backend: Backend, job: Job, form: TranscriptionForm, stream: EventStream, started: float
) -> None:
    segments: list[Segment] = []
    options = form.render_options
    async for segment in job:
        if not segments:
            backend.metrics.first_delta_seconds.observe(perf_counter() - started)
        segments.append(segment)
        event = segment_event(segment) if form.diarized else delta_event(segment, logprobs=options.logprobs)
        await stream.write(frame(event))
    warnings = (*form.warnings, *job.warnings)
    transcript = Transcript(tuple(segments), job.duration_s, warnings, known_languages=job.known_languages)
    await stream.write(await backend.render(job, lambda: frame(done_event(transcript, options))))
