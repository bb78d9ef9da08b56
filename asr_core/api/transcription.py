"""POST /v1/audio/transcriptions: what is made of the form and the recording."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Send

from asr_core.api.answer import AnswerToUpload
from asr_core.api.backend import Backend
from asr_core.api.form import TranscriptionForm, is_known, parse_form
from asr_core.api.problems import answer_to
from asr_core.api.sse import DONE, EventStream, delta_event, done_event, frame
from asr_core.api.upload import Upload
from asr_core.text.formats import render
from asr_core.types import Segment, Transcript

if TYPE_CHECKING:
    from asr_core.engine.jobs import Job


def answer(backend: Backend) -> Response:
    """The answer to a request for a transcription."""

    async def work(upload: Upload, send: Send) -> Response | None:
        form = parse_form(upload.fields, backend.settings)
        if not form.streamed:
            return await _whole(backend, upload.path, form)
        await _stream(backend, upload.path, form, send)
        return None

    return AnswerToUpload(backend, work, wanted=is_known)


async def _whole(backend: Backend, path: Path, form: TranscriptionForm) -> Response:
    async with backend.job(path, form.job_options(backend.settings.vad)) as job:
        transcript = await job.transcript()
    rendered = await backend.render(job, partial(render, transcript, form.response_format, form.render_options))
    return Response(rendered.body, media_type=rendered.media_type)


async def _stream(backend: Backend, path: Path, form: TranscriptionForm, send: Send) -> None:
    """Send events. What goes wrong before the first byte is raised; what does later is the last event."""
    stream, started = EventStream(send), perf_counter()
    try:
        async with backend.job(path, form.job_options(backend.settings.vad)) as job, stream:
            await _send_transcript(backend, job, stream, started, logprobs=form.render_options.logprobs)
    except ClientDisconnect:
        raise
    except Exception as exc:
        if not stream.started:
            raise
        backend.metrics.failed(exc)
        last = frame(answer_to(exc).body)
    else:
        last = DONE
    await stream.finish(last)


async def _send_transcript(backend: Backend, job: Job, stream: EventStream, started: float, *, logprobs: bool) -> None:
    segments: list[Segment] = []
    async for segment in job:
        if not segments:
            backend.metrics.first_delta_seconds.observe(perf_counter() - started)
        segments.append(segment)
        await stream.event(delta_event(segment, logprobs=logprobs))
    transcript = Transcript(tuple(segments), job.duration_s)
    await stream.event(await backend.render(job, partial(done_event, transcript, logprobs=logprobs)))
