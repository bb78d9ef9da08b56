"""What a server of ours answers, as its clients read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from asr_core.errors import AsrError, BadRequest, Busy, NotFound, Unauthorized, UploadTooLarge

ERRORS: dict[int, type[AsrError]] = {
    400: BadRequest,
    401: Unauthorized,
    404: NotFound,
    413: UploadTooLarge,
    502: Busy,  # a proxy's word for a server that restarts
    503: Busy,
    504: Busy,
}
"""What statuses mean; any other is an AsrError."""

BUSY_CODES = frozenset({"busy", "queue_full", "model_not_ready"})
"""What the error lines of a stream call the same."""


class Unreachable(Busy):
    """There is no server at the address, or its connection broke off."""


class JsonLines:
    """The objects of an NDJSON stream that arrives in pieces of any size.

    Blank lines only keep the connection alive; a last line without its end is dropped.
    """

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, piece: str) -> list[dict[str, Any]]:
        """The objects that `piece` completes."""
        *lines, self._rest = (self._rest + piece).split("\n")
        return [json.loads(line) for line in lines if line]


def json_lines(pieces: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The objects of a whole stream, as it comes."""
    lines = JsonLines()
    for piece in pieces:
        yield from lines.feed(piece)


def refusal(status: int, body: str) -> AsrError:
    """The error that an answer of this status means, in the server's own words if `body` is of OpenAI's shape."""
    return ERRORS.get(status, AsrError)(_message(body) or f"The server answered {status}{_phrase(status)}.")


def told(error: dict[str, Any]) -> AsrError:
    """What the last line of a stream says, which has the body of an error answer and not its status."""
    if error["type"] == "invalid_request_error":
        return BadRequest(error["message"], error["param"])
    return (Busy if error["code"] in BUSY_CODES else AsrError)(error["message"])


def _message(body: str) -> str:
    """The sentence in an error answer, which BentoML's client may put words before; nothing, if there is none."""
    try:
        return str(json.loads(body[body.find("{") :])["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _phrase(status: int) -> str:
    return f" {HTTPStatus(status).phrase}" if status in {*HTTPStatus} else ""
