"""GET /metrics of a server that has worked."""

from __future__ import annotations

import wave
from pathlib import Path

import httpx
import pytest

from tests.conftest import Server


def seconds(recording: Path) -> float:
    with wave.open(str(recording)) as file:
        return float(file.getnframes() / file.getframerate())


def test_work_shows_in_the_engines_numbers(server: Server, speech: Path) -> None:
    names = ("asr_heard_seconds_total", "asr_compute_seconds_total", "asr_queue_wait_seconds_count")
    before = [server.metric(name) for name in names]
    httpx.post(f"{server.url}/v1/audio/transcriptions", files={"file": speech.read_bytes()}, timeout=60)
    heard, computed, waited = (server.metric(name) - old for name, old in zip(names, before, strict=True))
    assert heard == pytest.approx(seconds(speech), abs=0.01)
    assert 0 < computed < 60
    assert waited == 1
    assert server.metric("asr_real_time_factor") > 0
    assert server.metric("asr_queue_chunks") == 0
    assert server.metric('asr_model_info{device="cpu",model="demo",precision="fp32"}') == 1


def test_both_streams_time_their_first_text(server: Server, speech: Path) -> None:
    before = server.metric("asr_first_delta_seconds_count")
    for path, form in (("/v1/audio/transcriptions", {"stream": "true"}), ("/transcribe_stream", {})):
        httpx.post(server.url + path, files={"file": speech.read_bytes()}, data=form, timeout=60)
    assert server.metric("asr_first_delta_seconds_count") == before + 2


def test_failures_are_counted_once_by_kind_wherever_they_happen(server: Server) -> None:
    bad_audio, bad_request = 'asr_failures_total{kind="BadAudio"}', 'asr_failures_total{kind="BadRequest"}'
    before = server.metric(bad_audio), server.metric(bad_request)
    for path in ("/v1/audio/transcriptions", "/transcribe_stream", "/asr"):
        field = "audio_file" if path == "/asr" else "file"
        httpx.post(server.url + path, files={field: b"nonsense" * 100}, timeout=60)
    httpx.post(f"{server.url}/v1/audio/transcriptions", data={"model": "demo"}, timeout=60)
    assert (server.metric(bad_audio), server.metric(bad_request)) == (before[0] + 3, before[1] + 1)
