"""A job's stages as OpenTelemetry's own SDK sees them."""

from __future__ import annotations

import asyncio
import wave
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from asr_core.engine.engine import Engine
from asr_core.engine.stages import TracedStages
from asr_core.errors import BadAudio, ModelError
from tests.engine.engines import SAMPLE, Gate, settings, transcribe, until, write


class Tracing:
    """An engine whose jobs are traced, each below a request of its own."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self._tracer = provider.get_tracer("test")

    async def transcribe(self, *paths: Path, gate: Gate | None = None) -> list[object]:
        """What becomes of `paths`, transcribed together."""
        engine = Engine(settings(), gate, partial(TracedStages, self._tracer))
        await engine.start()
        await until(lambda: engine.status.loaded)
        try:
            return await asyncio.gather(*(self._request(engine, path) for path in paths), return_exceptions=True)
        finally:
            await engine.stop()

    async def _request(self, engine: Engine, path: Path) -> object:
        with self._tracer.start_as_current_span(path.name, kind=SpanKind.SERVER, record_exception=False):
            return await transcribe(engine, path)

    def request(self, path: Path) -> ReadableSpan:
        return next(span for span in self.exporter.get_finished_spans() if span.name == path.name)

    def stages(self, path: Path) -> list[ReadableSpan]:
        """The spans below the request for `path`, in the order of their beginning."""
        request = self.request(path).context
        below = [span for span in self.exporter.get_finished_spans() if span.parent and span.parent == request]
        return sorted(below, key=lambda span: span.start_time or 0)


def test_a_transcription_is_decoded_listened_to_queued_and_heard_within_its_request() -> None:
    tracing = Tracing()
    asyncio.run(tracing.transcribe(SAMPLE))
    stages, request = tracing.stages(SAMPLE), tracing.request(SAMPLE)
    names = [span.name for span in stages]
    assert set(names) == {"decode", "vad", "queue", "model"}
    assert names[0] == "decode"
    assert names.index("vad") < names.index("queue") < names.index("model")
    assert names.count("queue") == names.count("model")
    assert len(stages) == len(tracing.exporter.get_finished_spans()) - 1
    for span in stages:
        assert span.status.is_ok or span.status.is_unset
        assert request.start_time <= span.start_time <= span.end_time <= request.end_time  # type: ignore[operator]


def test_each_of_two_recordings_heard_together_has_its_own_stages(tmp_path: Path) -> None:
    twin = tmp_path / "twin.wav"
    twin.write_bytes(SAMPLE.read_bytes())
    tracing = Tracing()
    asyncio.run(tracing.transcribe(SAMPLE, twin))
    for path in (SAMPLE, twin):
        names = [span.name for span in tracing.stages(path)]
        assert names.count("queue") == names.count("model") == 1
        assert names.count("decode") > names.count("vad") >= 1


@pytest.mark.parametrize("content", [b"", b"no sound" * 1000], ids=["empty", "not a recording"])
def test_a_failed_decode_is_on_its_span(tmp_path: Path, content: bytes) -> None:
    (path := tmp_path / "bad.mp3").write_bytes(content)
    tracing = Tracing()
    (error,) = asyncio.run(tracing.transcribe(path))
    assert isinstance(error, BadAudio)
    *_, failed = tracing.stages(path)
    assert (failed.name, failed.status.is_ok) == ("decode", False)
    assert failed.events[0].attributes["exception.message"] == str(error)  # type: ignore[index]


def test_a_failure_of_the_model_is_on_its_span(tmp_path: Path) -> None:
    with wave.open(str(SAMPLE)) as recording:
        path = write(tmp_path / "bad.wav", np.frombuffer(recording.readframes(70_000), np.int16))
    tracing, gate = Tracing(), Gate()
    gate.poison = 70_000
    (error,) = asyncio.run(tracing.transcribe(path, gate=gate))
    assert isinstance(error, ModelError)
    *_, failed = tracing.stages(path)
    assert (failed.name, failed.status.is_ok) == ("model", False)
    assert failed.events[0].attributes["exception.message"] == "poison"  # type: ignore[index]
