"""Short-lived keys for browsers, which are not to know the server's own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from asr_core.api.realtime.options import SessionOptions, complaint, session_options
from asr_core.errors import BadRequest, UploadTooLarge
from asr_core.settings import Settings

MOST = 1_000
"""Secrets that are kept; the oldest makes room."""


MAX_BODY = 1 << 20


class _Expiry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Field(ge=10, le=7_200)] = 600


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    expires_after: _Expiry = _Expiry()
    session: Any = None


@dataclass(frozen=True, slots=True)
class _Issued:
    expires_at: int
    options: SessionOptions


async def small_json(request: Request) -> Any:
    """A body of JSON; none at all is an empty object. Raises BadRequest or UploadTooLarge."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise UploadTooLarge(f"The body is larger than {MAX_BODY} bytes.")
    try:
        return json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON.") from None


class ClientSecrets:
    """Those that are out, and the sessions that they are for. They end with the process."""

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._issued: dict[str, _Issued] = {}

    def issue(self, request: Any, settings: Settings) -> dict[str, Any]:
        """The answer to `POST /v1/realtime/client_secrets`. Raises BadRequest or UnknownModel."""
        if not isinstance(request, dict):
            raise BadRequest("The body is to be a JSON object.")
        try:
            wanted = _Request.model_validate(request)
        except ValidationError as error:
            raise complaint(error) from None
        options = session_options({} if wanted.session is None else wanted.session, settings)
        self._drop_expired()
        while len(self._issued) >= MOST:
            del self._issued[next(iter(self._issued))]
        value = f"ek_{secrets.token_hex(24)}"
        expires_at = int(self._clock()) + wanted.expires_after.seconds
        self._issued[value] = _Issued(expires_at, options)
        shown = options.shown(f"sess_{secrets.token_hex(10)}")
        return {"value": value, "expires_at": expires_at, "session": shown}

    def find(self, value: str) -> SessionOptions | None:
        """What the holder of a secret may have; None for one that is unknown or over."""
        self._drop_expired()
        issued = self._issued.get(value)  # 192 random bits: how long a look-up takes tells nobody anything
        return issued.options if issued else None

    def _drop_expired(self) -> None:
        now = self._clock()
        self._issued = {value: issued for value, issued in self._issued.items() if issued.expires_at > now}
