"""Exceptions → what the client is told: one table, for JSON answers and streamed events alike."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from asr_core.errors import (
    AsrError,
    AudioTooLong,
    BadRequest,
    Busy,
    FfmpegMissing,
    ModelNotReady,
    NotFound,
    QueueFull,
    StorageFull,
    StorageGone,
    TaskLost,
    TooManySessions,
    Unauthorized,
    UnknownModel,
    UploadStalled,
    UploadTooLarge,
)
from asr_core.logs import one_line, remark

log = logging.getLogger(__name__)

# The openai client repeats 5xx answers twice unless it is told not to: a retry sends the whole recording again,
# and only a busy server has a reason to fare better the next time.
_RETRY = {"x-should-retry": "true"}
_NO_RETRY = {"x-should-retry": "false"}


@dataclass(frozen=True, slots=True)
class Problem:
    """How a class of exceptions is answered: HTTP status, OpenAI's error `type` and `code`, and further headers."""

    status: int
    type: str
    code: str | None = None
    headers: Mapping[str, str] | None = None


PROBLEMS: Mapping[type[Exception], Problem] = {
    BadRequest: Problem(400, "invalid_request_error"),
    AudioTooLong: Problem(400, "invalid_request_error", "audio_too_long"),
    UnknownModel: Problem(400, "invalid_request_error", "model_not_found"),
    Unauthorized: Problem(401, "invalid_request_error", "invalid_api_key", {"WWW-Authenticate": "Bearer"}),
    NotFound: Problem(404, "invalid_request_error", "not_found"),
    UploadStalled: Problem(408, "invalid_request_error", "upload_stalled", _NO_RETRY),
    UploadTooLarge: Problem(413, "invalid_request_error", "file_too_large"),
    # nginx's status for a client that left: it is logged, nobody is there to read it.
    ClientDisconnect: Problem(499, "invalid_request_error", "client_disconnected"),
    Busy: Problem(503, "server_error", "busy", _RETRY),
    QueueFull: Problem(503, "server_error", "queue_full", _RETRY),
    TooManySessions: Problem(503, "server_error", "too_many_sessions", _RETRY),
    StorageGone: Problem(503, "server_error", "storage_gone", _RETRY),
    ModelNotReady: Problem(503, "server_error", "model_not_ready", _RETRY),
    FfmpegMissing: Problem(500, "server_error", "ffmpeg_missing", _NO_RETRY),
    StorageFull: Problem(507, "server_error", "storage_full", _NO_RETRY),
    TaskLost: Problem(500, "server_error", "task_lost", _NO_RETRY),
    AsrError: Problem(500, "server_error", "internal_error", _NO_RETRY),
    Exception: Problem(500, "server_error", "internal_error", _NO_RETRY),
}


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An exception, ready to be sent."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    """OpenAI's `{"error": {"message", "type", "param", "code"}}`."""

    @property
    def line(self) -> str:
        """The same in the log, without line breaks."""
        error = self.body["error"]
        return one_line(f"{error['code'] or error['type']}: {error['message']}")


def answer_to(exc: Exception) -> ErrorAnswer:
    """What the client is told about `exc`; our own errors' messages are meant for it, others' are kept from it.

    It is remarked in the log; what nobody expected has its traceback there as well.
    """
    problem = _find(exc)
    if not isinstance(exc, AsrError | HTTPException | ClientDisconnect):
        log.error("An unexpected failure: %s", type(exc).__name__, exc_info=exc)
    headers = dict(problem.headers or {})
    if isinstance(exc, Busy):
        headers["Retry-After"] = str(exc.retry_after_s)
    if isinstance(exc, HTTPException) and exc.headers:
        headers.update(exc.headers)
    error = {
        "message": _message(exc),
        "type": problem.type,
        "param": exc.param if isinstance(exc, BadRequest) else None,
        "code": problem.code,
    }
    answer = ErrorAnswer(problem.status, headers, {"error": error})
    remark(answer.line)
    return answer


def error_response(exc: Exception) -> Response:
    """`exc` as a JSON response in OpenAI's shape."""
    answer = answer_to(exc)
    return JSONResponse(answer.body, answer.status, answer.headers)


async def handle(request: Request, exc: Exception) -> Response:
    """`error_response` as an exception handler; what the router could not place is told back to the client."""
    if isinstance(exc, HTTPException):
        exc = HTTPException(exc.status_code, f"{exc.detail}: {request.method} {request.url.path}", exc.headers)
    return error_response(exc)


def _find(exc: Exception) -> Problem:
    """The table's entry of the nearest base class; a router's own exceptions bring their status along."""
    if isinstance(exc, HTTPException):
        known = {404: "unknown_url", 405: "method_not_allowed"}
        return Problem(exc.status_code, "invalid_request_error", known.get(exc.status_code))
    return next(PROBLEMS[base] for base in type(exc).__mro__ if base in PROBLEMS)


def _message(exc: Exception) -> str:
    if isinstance(exc, AsrError):
        return str(exc)
    if isinstance(exc, HTTPException):
        return str(exc.detail)
    if isinstance(exc, ClientDisconnect):
        return "The client closed its connection."
    return "The server failed on this request. Its log says why, under this answer's x-request-id."
