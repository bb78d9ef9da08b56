"""Servers with a key, tight limits, or no model."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from bentoml.exceptions import BentoMLException

from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.client import Client
from asr_core.errors import BadRequest
from tests.conftest import Server, bentoml_client, running_server, wait_until
from tests.processes import has_ended

# Raised by libraries that bentoml uses, when its client is first imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

KEY = "second-key"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with keys that takes at most 1 MiB and 30 s."""
    with running_server(
        tmp_path_factory.mktemp("strict"),
        API_KEY=f"first-key,{KEY}",
        MAX_UPLOAD_MB="1",
        MAX_AUDIO_SECONDS="30",
        LOG_JSON="true",
    ) as running:
        yield running


def heard(server: Server, key: str, file: Any, **fields: Any) -> Any:
    """What OpenAI's client makes of the answer; of a stream its events."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client:
        answer = client.audio.transcriptions.create(file=file, model="whisper-1", **fields)
        return list(answer) if fields.get("stream") else answer


@pytest.mark.parametrize("key", ["first-key", KEY])
def test_each_of_the_keys_opens_every_door(strict: Server, speech: Path, spoken_text: str, key: str) -> None:
    assert heard(strict, key, speech).text == spoken_text
    with openai.AzureOpenAI(azure_endpoint=strict.url, api_key=key, api_version="2025-03-01-preview") as azure:
        assert azure.audio.transcriptions.create(file=speech, model="whisper-1").text == spoken_text
    with bentoml_client(strict, key) as native:
        assert native.transcribe(file=speech)["text"] == spoken_text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/audio/transcriptions"),
        ("POST", "/openai/deployments/demo/audio/transcriptions"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/demo"),
        ("POST", "/transcribe"),
        ("POST", "/transcribe_stream"),
        ("POST", "/transcribe_task"),
        ("POST", "/transcribe_task/submit"),
        ("GET", "/transcribe_task/status"),
        ("GET", "/transcribe_task/get"),
        ("PUT", "/transcribe_task/cancel"),
        ("POST", "/transcribe_task/retry"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"api-key": "wrong"}])
def test_without_a_key_they_are_shut(strict: Server, method: str, path: str, headers: dict[str, str]) -> None:
    response = httpx.request(method, strict.url + path, headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"


def test_the_clients_of_both_kinds_say_that_the_key_is_wrong(strict: Server, speech: Path) -> None:
    with pytest.raises(openai.AuthenticationError):
        heard(strict, "wrong", speech)
    with bentoml_client(strict, "wrong") as native, pytest.raises(BentoMLException):
        native.transcribe(file=speech)


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz", "/metrics"])
def test_what_machines_ask_needs_no_key(strict: Server, path: str) -> None:
    assert strict.get(path).status_code == 200


def test_keys_are_not_in_the_log(strict: Server, speech: Path) -> None:
    heard(strict, KEY, speech)
    assert KEY not in strict.log.read_text()


@pytest.mark.parametrize("key", [KEY, "wrong"])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "not announced"])
def test_a_client_that_sends_far_too_much_reads_why_it_was_refused(strict: Server, key: str, announced: bool) -> None:
    size = 32 * 2**20

    def body() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        yield from [bytes(2**16)] * (size // 2**16)

    headers = {"content-type": "multipart/form-data; boundary=b", "authorization": f"Bearer {key}"}
    if announced:
        headers["content-length"] = str(sum(map(len, body())))
    response = httpx.post(f"{strict.url}/v1/audio/transcriptions", content=body(), headers=headers, timeout=60)
    assert response.status_code == (413 if key == KEY else 401)
    assert response.json()["error"]["message"]
    strict.wait_until_clean()


def test_the_openai_client_is_told_that_a_file_is_too_large(strict: Server) -> None:
    with pytest.raises(openai.APIStatusError, match="larger than this server accepts") as refused:
        heard(strict, KEY, ("a.wav", bytes(8 * 2**20)))
    assert refused.value.status_code == 413


def too_long(speech: Path, container: str) -> bytes:
    """40 s of speech, written to a pipe: that leaves no place for the length in flac, and no need for it in ogg."""
    source = ["-stream_loop", "-1", "-i", str(speech), "-t", "40"]
    command = [find_ffmpeg(), "-v", "error", *source, "-f", container, "pipe:1"]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.mark.parametrize("container", ["ogg", "flac"])
def test_a_recording_that_is_too_long_is_a_bad_request(strict: Server, speech: Path, container: str) -> None:
    recording = too_long(speech, container)
    with pytest.raises(openai.BadRequestError, match="30 s") as refused:
        heard(strict, KEY, ("a", recording))
    assert (refused.value.param, refused.value.code) == ("file", "audio_too_long")


def test_an_error_after_the_first_byte_is_the_last_event(strict: Server, speech: Path) -> None:
    """That the recording is too long shows only when it has been decoded."""
    recording = too_long(speech, "flac")
    with pytest.raises(openai.APIError, match="30 s"):
        heard(strict, KEY, ("a", recording), stream=True)
    response = httpx.post(
        f"{strict.url}/v1/audio/transcriptions",
        files={"file": recording},
        data={"stream": "true"},
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=60,
    )
    assert response.status_code == 200
    *_, last = response.text.strip().split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["param"] == "file"
    assert "[DONE]" not in response.text
    strict.wait_until_clean()


def test_an_error_after_the_first_line_has_its_kind_in_our_client_too(
    strict: Server, speech: Path, tmp_path: Path
) -> None:
    (path := tmp_path / "long.flac").write_bytes(too_long(speech, "flac"))
    with Client(strict.url, KEY) as ours, pytest.raises(BadRequest, match="30 s"):
        list(ours.stream(path))
    strict.wait_until_clean()


def test_json_lines_in_the_log_know_the_request(strict: Server) -> None:
    strict.get("/v1/models", **{"x-request-id": "find-me"})
    wait_until(lambda: '"find-me"' in strict.log.read_text(), "the request's line in the log")
    lines = [json.loads(line) for line in strict.log.read_text().splitlines() if line.startswith("{")]
    (message,) = (line["message"] for line in lines if line["request_id"] == "find-me")
    assert re.fullmatch(r"GET /v1/models → 401 in \d+\.\d+ s: invalid_api_key: This server wants an API key.*", message)


def test_the_log_says_how_much_was_heard_and_how_long_it_took(strict: Server, speech: Path) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "x-request-id": "heard"}
    with speech.open("rb") as file:
        httpx.post(f"{strict.url}/transcribe", files={"file": file}, headers=headers, timeout=60)
    wait_until(lambda: '"heard"' in strict.log.read_text(), "the request's line in the log")
    (message,) = (line for line in strict.log.read_text().splitlines() if '"heard"' in line)
    assert re.search(r"POST /transcribe → 200 in \d+\.\d+ s: \d+\.\d s of sound, \d+\.\d+ s of work", message)


def test_an_unexpected_failure_is_answered_at_once_and_keeps_its_cause_to_itself(strict: Server, speech: Path) -> None:
    """There is a file where the folder for tasks belongs, which nobody expected."""
    (obstacle := strict.scratch / f"asr-tasks-{os.getuid()}").touch()
    try:
        with speech.open("rb") as file:
            headers = {"Authorization": f"Bearer {KEY}"}
            failed = httpx.post(f"{strict.url}/transcribe_task/submit", files={"file": file}, headers=headers)
    finally:
        obstacle.unlink()
    assert (failed.status_code, failed.json()["error"]["code"]) == (500, "internal_error")
    assert str(strict.scratch) not in failed.text
    assert failed.headers["x-should-retry"] == "false"
    assert "FileExistsError" in strict.log.read_text()


def test_without_a_folder_for_uploads_the_server_is_not_ready_until_it_is_back(
    strict: Server, speech: Path, spoken_text: str
) -> None:
    def transcribe() -> str:
        text: str = heard(strict, KEY, speech).text
        return text

    shutil.rmtree(next(strict.scratch.glob("asr-uploads-*")))
    assert transcribe() == spoken_text
    aside = strict.scratch.rename(strict.scratch.with_name("aside"))
    try:
        ready = strict.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
        assert "TMPDIR" in ready.json()["detail"]
        with pytest.raises(openai.InternalServerError) as refused:
            transcribe()
        assert (refused.value.status_code, refused.value.code) == (503, "storage_gone")
    finally:
        aside.rename(strict.scratch)
    assert strict.get("/readyz").status_code == 200
    assert transcribe() == spoken_text


def test_a_server_that_is_stopped_leaves_nothing_of_an_upload_under_way(strict: Server) -> None:
    """The last of this server's tests."""
    with socket.create_connection(("127.0.0.1", strict.port)) as connected:
        head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nsound'
        connected.sendall(
            f"{head}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9999\r\n\r\n".encode() + body
        )
        wait_until(lambda: bool(strict.leftovers), "an upload under way")
        strict.process.terminate()
        wait_until(lambda: has_ended(strict.process), "a stopped server")
    assert list(strict.scratch.glob("asr-uploads-*")) == []


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose model is not there (yet)."""
    with running_server(tmp_path_factory.mktemp("loading"), ready=False, MODEL="/nowhere/absent.ckpt") as running:
        yield running


def test_before_the_model_is_loaded_the_server_lives_and_says_what_it_waits_for(loading: Server) -> None:
    assert loading.get("/livez").status_code == 200
    assert loading.get("/health").json() | {"device": None} == {
        "status": "loading",
        "model": "absent",
        "device": None,
        "precision": None,
        "precision_reason": None,
        "kernels": None,
        "loaded": False,
        "max_queue": 8,
    }
    ready = loading.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "loading")
    assert ready.json()["detail"]
    assert "/nowhere" not in ready.text


def test_before_the_model_is_loaded_recordings_are_sent_away_unread(loading: Server) -> None:
    response = httpx.post(f"{loading.url}/v1/audio/transcriptions", content=b"x" * 2**20, timeout=30)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "model_not_ready")
    assert response.headers["retry-after"].isdecimal()
    assert response.headers["x-should-retry"] == "true"
