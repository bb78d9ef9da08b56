"""The service as the openai client sees it, over a real socket, with the demo model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import httpx
import openai
import pytest
from openai import AzureOpenAI, OpenAI
from openai.types.audio import TranscriptionTextDoneEvent
from openai.types.audio.transcription_create_params import ChunkingStrategyVadConfig

from asr_core.model import kernels
from asr_core.settings import OPENAI_MODELS
from asr_core.types import ResponseFormat
from tests.conftest import Server, wait_until


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as connected:
        yield connected


def post(server: Server, recording: Path, **form: Any) -> httpx.Response:
    """A request as any HTTP client sends it."""
    with recording.open("rb") as file:
        return httpx.post(f"{server.url}/v1/audio/transcriptions", files={"file": file}, data=form, timeout=60)


@pytest.fixture(scope="module")
def answers(server: Server, speech: Path) -> dict[str, httpx.Response]:
    """The demo's recording in each format."""
    return {name: post(server, speech, response_format=name) for name in get_args(ResponseFormat)}


def test_json_is_the_text_and_the_duration(client: OpenAI, speech: Path, spoken_text: str) -> None:
    answer = client.audio.transcriptions.create(file=speech, model="whisper-1")
    assert answer.text == spoken_text
    assert answer.logprobs is None
    assert answer.usage is not None
    assert answer.usage.type == "duration"
    assert answer.usage.seconds > 5


def test_text_is_the_text_and_nothing_else(
    answers: dict[str, httpx.Response], client: OpenAI, speech: Path, spoken_text: str
) -> None:
    assert answers["text"].text == spoken_text
    assert client.audio.transcriptions.create(file=speech, model="demo", response_format="text") == spoken_text


def test_srt_and_vtt_are_subtitles_of_the_whole_text(answers: dict[str, httpx.Response], spoken_text: str) -> None:
    assert answers["srt"].text.startswith("1\n00:00:")
    assert answers["vtt"].text.startswith("WEBVTT\n\n00:00:")
    for name in ("srt", "vtt"):
        lines = [line for line in answers[name].text.splitlines() if line and "-->" not in line]
        assert max(map(len, lines)) <= 42
        assert " ".join(line for line in lines if not line.isdigit() and line != "WEBVTT") == spoken_text


def test_each_format_comes_as_what_it_is(answers: dict[str, httpx.Response]) -> None:
    assert {name: answer.headers["content-type"] for name, answer in answers.items()} == {
        "json": "application/json",
        "text": "text/plain; charset=utf-8",
        "srt": "text/plain; charset=utf-8",
        "verbose_json": "application/json",
        "vtt": "text/vtt; charset=utf-8",
        "diarized_json": "application/json",
    }


def test_verbose_json_has_all_that_the_clients_types_ask_for(client: OpenAI, speech: Path, spoken_text: str) -> None:
    answer = client.audio.transcriptions.create(
        file=speech,
        model="demo",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert (answer.language, answer.text) == ("russian", spoken_text)
    assert answer.segments
    assert answer.words
    assert " ".join(segment.text for segment in answer.segments) == spoken_text
    assert " ".join(word.word for word in answer.words) == spoken_text
    times = [time for segment in answer.segments for time in (segment.start, segment.end)]
    assert times == sorted(times)
    assert times[-1] <= answer.duration
    assert all(segment.avg_logprob < 0 <= segment.no_speech_prob <= 1 for segment in answer.segments)
    assert all(segment.model_fields_set >= {"seek", "tokens", "temperature"} for segment in answer.segments)


def test_words_come_when_they_are_asked_for_and_alone_if_they_alone_are(
    answers: dict[str, httpx.Response], client: OpenAI, speech: Path
) -> None:
    words = client.audio.transcriptions.create(
        file=speech, model="demo", response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert (bool(words.segments), bool(words.words)) == (False, True)
    assert set(answers["verbose_json"].json()) >= {"segments"}
    assert "words" not in answers["verbose_json"].json()


def test_a_streams_deltas_its_done_and_the_synchronous_answer_are_one_text(
    client: OpenAI, speech: Path, spoken_text: str
) -> None:
    events = list(client.audio.transcriptions.create(file=speech, model="demo", stream=True, include=["logprobs"]))
    deltas = [event for event in events if event.type == "transcript.text.delta"]
    done = events[-1]
    assert done.type == "transcript.text.done"
    assert len(deltas) == len(events) - 1 > 1, "the demo is more than one segment"
    assert "".join(delta.delta for delta in deltas) == done.text == spoken_text
    assert done.logprobs
    assert "".join(entry.token or "" for entry in done.logprobs) == spoken_text
    answer = client.audio.transcriptions.create(file=speech, model="demo", include=["logprobs"])
    assert answer.logprobs
    assert [entry.token for entry in answer.logprobs] == [entry.token for entry in done.logprobs]
    assert all((entry.logprob or 0) <= 0 for entry in answer.logprobs)


@pytest.mark.parametrize("name", ["json", "text"])
def test_a_stream_begins_with_a_comment_and_ends_with_done(server: Server, speech: Path, name: str) -> None:
    response = post(server, speech, stream="true", response_format=name)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert (response.headers["cache-control"], response.headers["x-accel-buffering"]) == ("no-cache", "no")
    assert response.text.startswith(": ")
    assert response.text.endswith("data: [DONE]\n\n")
    assert "\nid:" not in response.text
    named = [event.split("\n") for event in response.text.split("\n\n") if event.startswith("event: ")]
    assert [name.removeprefix("event: ") for name, _ in named] == [
        json.loads(data.removeprefix("data: "))["type"] for _, data in named
    ]
    assert len(named) > 2


def test_a_subtitle_editor_that_asks_json_for_times_gets_them_streamed_or_not(
    server: Server, speech: Path, answers: dict[str, httpx.Response]
) -> None:
    """As Subtitle Edit does."""
    form = {"response_format": "json", "timestamp_granularities[]": ["segment", "word"]}
    expected = answers["verbose_json"].json()["segments"]
    assert post(server, speech, **form).json()["segments"] == expected
    stream = post(server, speech, stream="true", **form).text
    _, done = stream.split("event: transcript.text.done\ndata: ")
    assert json.loads(done.split("\n")[0])["segments"] == expected


@pytest.mark.parametrize("name", ["verbose_json", "srt", "vtt"])
def test_a_format_that_cannot_be_streamed_is_answered_whole(
    server: Server, speech: Path, answers: dict[str, httpx.Response], name: str
) -> None:
    assert post(server, speech, stream="true", response_format=name).content == answers[name].content


def test_parameters_that_change_nothing_are_accepted(client: OpenAI, speech: Path, spoken_text: str) -> None:
    answer = client.audio.transcriptions.create(
        file=speech,
        model="whisper-1",
        language="ru",
        prompt="Совещание",  # no name
        temperature=0.2,
        extra_body={
            "keywords": ["GigaAM"],
            "languages": ["ru", "en"],
            "known_speaker_names": ["Анна"],
            "known_speaker_references": ["data:audio/wav;base64," + "A" * 2_000_000],
            "unheard_of": "x",
        },
    )
    assert answer.text == spoken_text


def test_keywords_are_heard_and_written_as_they_were_given_streamed_or_not(client: OpenAI, speech: Path) -> None:
    create = partial(client.audio.transcriptions.create, file=speech, model="whisper-1")
    plain = create().text
    asked = {"keywords": ["Больница", "Kubernetes"]}
    answer = create(extra_body=asked)
    assert answer.text == plain.replace("больница", "Больница")
    *_, done = client.audio.transcriptions.create(file=speech, model="whisper-1", extra_body=asked, stream=True)
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert done.text == answer.text
    assert create(extra_body=asked | {"keywords_spelling": "model"}).text == plain
    assert create(prompt="Это Больница.").text == answer.text


def test_verbose_json_and_streams_tell_what_had_no_effect(client: OpenAI, speech: Path) -> None:
    answer = client.audio.transcriptions.create(
        file=speech, model="whisper-1", language="en", prompt="Совещание", response_format="verbose_json"
    )
    assert answer.model_extra is not None
    assert [warning.split("`")[1] for warning in answer.model_extra["warnings"]] == ["language", "prompt"]
    *_, done = client.audio.transcriptions.create(file=speech, model="whisper-1", language="en", stream=True)
    assert done.model_extra is not None
    assert len(done.model_extra["warnings"]) == 1


@pytest.mark.parametrize("deployment", ["demo", "gpt-4o-transcribe"])
def test_azures_client_is_served_at_azures_path(
    server: Server, speech: Path, spoken_text: str, deployment: str
) -> None:
    with AzureOpenAI(azure_endpoint=server.url, api_key="unused", api_version="2025-04-01-preview") as azure:
        assert azure.audio.transcriptions.create(file=speech, model=deployment).text == spoken_text
        with pytest.raises(openai.BadRequestError) as refused:
            azure.audio.transcriptions.create(file=speech, model="no-such-deployment")
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize("base", ["/v1/", "//v1", "/v1//"])
def test_slashes_too_many_in_a_base_url_do_not_matter(
    server: Server, speech: Path, spoken_text: str, base: str
) -> None:
    with speech.open("rb") as file:
        answer = httpx.post(f"{server.url}{base}/audio/transcriptions/", files={"file": file}, timeout=60)
    assert (answer.status_code, answer.json()["text"]) == (200, spoken_text)


def test_a_chunking_strategy_is_understood_as_the_client_sends_it(
    client: OpenAI, speech: Path, spoken_text: str
) -> None:
    knobs: ChunkingStrategyVadConfig = {
        "type": "server_vad",
        "threshold": 0.4,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
    }
    for strategy in (knobs, "auto"):
        answer = client.audio.transcriptions.create(file=speech, model="demo", chunking_strategy=strategy)
        assert answer.text == spoken_text
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(file=speech, model="demo", chunking_strategy={**knobs, "threshold": 2.0})
    assert refused.value.param == "chunking_strategy[threshold]"


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"response_format": "csv"}, "response_format"),
        ({"model": "gpt-5"}, "model"),
        ({"temperature": "2"}, "temperature"),
        ({"include[]": "everything"}, "include"),
    ],
)
def test_a_bad_parameter_is_a_400_that_names_it(server: Server, speech: Path, form: dict[str, str], param: str) -> None:
    response = post(server, speech, **form)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("data", [b"", b"no sound at all" * 1000, b"#EXTM3U\nhttp://127.0.0.1:9/a.ts\n"])
def test_what_is_no_recording_is_a_bad_request_not_a_broken_stream(client: OpenAI, data: bytes, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(file=("a.wav", data), model="demo", stream=stream)
    assert (refused.value.type, refused.value.param) == ("invalid_request_error", "file")


def test_models_are_the_loaded_one_and_its_aliases(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["demo", *sorted(OPENAI_MODELS)]
    assert client.models.retrieve("whisper-1").object == "model"
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("whisper-2")
    assert missing.value.code == "not_found"


def test_translation_is_refused_and_the_remedy_named(server: Server, speech: Path) -> None:
    with speech.open("rb") as file:
        response = httpx.post(f"{server.url}/v1/audio/translations", files={"file": file}, data={"model": "whisper-1"})
    assert response.status_code == 404
    assert "/v1/audio/transcriptions" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/chat/completions", 404, "unknown_url"),
        ("POST", "/v1", 404, "unknown_url"),
        ("POST", "/audio/transcriptions", 404, "unknown_url"),
        ("GET", "/openai/deployments/demo/audio/speech", 404, "unknown_url"),
        ("GET", "/made-up", 404, "unknown_url"),
        ("GET", "/v1/audio/transcriptions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/demo", 405, "method_not_allowed"),
        ("GET", "/transcribe", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_served_is_refused_in_openais_shape(
    server: Server, method: str, path: str, status: int, code: str
) -> None:
    response = httpx.request(method, server.url + path)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert path in response.json()["error"]["message"]


def test_health_says_what_the_server_is(server: Server) -> None:
    health = server.get("/health").json()
    assert health.pop("kernels").startswith(f"{kernels.names()}, attention ")
    assert health == {
        "status": "ok",
        "model": "demo",
        "device": "cpu",
        "precision": "fp32",
        "precision_reason": "as configured",
        "loaded": True,
        "max_queue": 2,
    }
    assert server.get("/readyz").json() == {"status": "ready"}
    assert server.get("/livez").status_code == 200


def test_metrics_count_transcriptions_and_no_path_that_a_stranger_makes_up(server: Server, speech: Path) -> None:
    done, seconds = server.metric('asr_jobs_total{outcome="done"}'), server.metric("asr_audio_seconds_total")
    post(server, speech)
    assert server.metric('asr_jobs_total{outcome="done"}') == done + 1
    assert server.metric("asr_audio_seconds_total") > seconds + 5
    server.get("/made-up")
    assert "made-up" not in server.get("/metrics").text


def test_each_answer_carries_the_id_that_the_log_knows(server: Server, speech: Path) -> None:
    response = httpx.post(
        f"{server.url}/v1/audio/transcriptions", files={"file": b"x"}, headers={"x-request-id": "find-me"}
    )
    assert response.headers["x-request-id"] == "find-me"
    line = "[find-me] POST /v1/audio/transcriptions → 400"  # written once the answer has been sent
    wait_until(lambda: line in server.log.read_text(), "the request's line in the log")
    generated = {server.get("/v1/models").headers["x-request-id"] for _ in range(2)}
    assert len(generated) == 2


def test_a_page_of_any_origin_may_ask(server: Server) -> None:
    preflight = httpx.options(
        f"{server.url}/v1/audio/transcriptions",
        headers={
            "Origin": "http://elsewhere",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in preflight.headers
    assert server.get("/v1/models", Origin="http://elsewhere").headers["access-control-allow-origin"] == "*"


def test_an_error_is_json_that_says_so(server: Server) -> None:
    response = httpx.post(f"{server.url}/v1/audio/transcriptions", json={"file": "http://127.0.0.1/a.wav"})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    assert "multipart/form-data" in json.loads(response.text)["error"]["message"]
