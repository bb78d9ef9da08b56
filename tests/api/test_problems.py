"""What clients are told when something goes wrong."""

from __future__ import annotations

import json
import logging

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from asr_core import errors
from asr_core.api.problems import answer_to, error_response

SECRET = "/srv/secret/path"


@pytest.mark.parametrize(
    ("exc", "status", "param", "code"),
    [
        (errors.BadRequest("m", "stream"), 400, "stream", None),
        (errors.BadAudio("m"), 400, "file", None),
        (errors.AudioTooLong("m"), 400, "file", "audio_too_long"),
        (errors.UnknownModel("m"), 400, "model", "model_not_found"),
        (errors.Unauthorized("m"), 401, None, "invalid_api_key"),
        (errors.NotFound("m"), 404, None, "not_found"),
        (errors.UploadStalled("m"), 408, None, "upload_stalled"),
        (errors.UploadTooLarge("m"), 413, None, "file_too_large"),
        (ClientDisconnect(), 499, None, "client_disconnected"),
        (errors.QueueFull(2), 503, None, "queue_full"),
        (errors.ModelNotReady("m"), 503, None, "model_not_ready"),
        (errors.FfmpegMissing("m"), 500, None, "ffmpeg_missing"),
        (errors.TaskLost("m"), 500, None, "task_lost"),
        (errors.CheckpointError("m"), 500, None, "internal_error"),
        (HTTPException(404), 404, None, "unknown_url"),
        (HTTPException(405), 405, None, "method_not_allowed"),
        (RuntimeError(SECRET), 500, None, "internal_error"),
    ],
)
def test_each_error_has_its_status_and_openais_shape(
    exc: Exception, status: int, param: str | None, code: str | None
) -> None:
    response = error_response(exc)
    body = json.loads(bytes(response.body))
    assert response.status_code == status
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert (body["error"]["param"], body["error"]["code"]) == (param, code)
    assert body["error"]["message"]


def test_an_unexpected_error_is_logged_whole_and_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = answer_to(FileNotFoundError(SECRET))
    assert SECRET not in json.dumps(answer.body)
    assert SECRET in caplog.text


def test_what_is_the_clients_fault_is_not_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        answer_to(errors.BadAudio("not a recording"))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("exc", "said"),
    [
        (errors.QueueFull(2), "true"),
        (errors.ModelNotReady("m"), "true"),
        (errors.FfmpegMissing("m"), "false"),
        (RuntimeError("m"), "false"),
        (errors.UploadStalled("m"), "false"),
        (errors.UploadTooLarge("m"), None),
        (errors.BadAudio("m"), None),
    ],
)
def test_clients_are_told_to_send_a_recording_again_only_to_a_busy_server(exc: Exception, said: str | None) -> None:
    """The openai client retries 408 and 5xx by itself, other 4xx never."""
    headers = answer_to(exc).headers
    assert headers.get("x-should-retry") == said
    assert headers.get("Retry-After") == (str(errors.Busy.retry_after_s) if said == "true" else None)
