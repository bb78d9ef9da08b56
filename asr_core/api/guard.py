"""The outermost layer that is ours: every request gets an id, a log line and an answer."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import perf_counter

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr_core.api.problems import error_response
from asr_core.errors import Busy
from asr_core.logs import gathered_remarks, one_line, subject

log = logging.getLogger(__name__)

DRAIN_S = 30.0
"""How long a client that was refused in the middle of its upload may go on sending before the connection is cut."""

MAX_DRAINED = 256
"""So many at once; whoever comes on top of them is cut at once."""

_LEFT_TO_BENTOML = frozenset({"/livez", "/healthz", "/schema.json"})
"""What BentoML answers. It looks at its own routes first and has its own shapes for errors, so it gets nothing else."""

_SLASHES = re.compile(r"//+|/+$")

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PROBES = frozenset({"/livez", "/readyz", "/healthz", "/health", "/metrics"})
"""Asked for every few seconds by machines: logged at DEBUG."""
_OUR_FAULT = frozenset({500, 507})
"""Statuses that the server's owner has to do something about."""


class Guard:
    """ASGI middleware around BentoML's application.

    A path may have slashes too many, as it has where a client joins it to its base URL. No exception passes before a
    response was started: BentoML's timeout layer would wait a day for one.
    """

    def __init__(self, app: ASGIApp, *, ours: Starlette, drain_s: float = DRAIN_S) -> None:
        self._bentoml = _open_to_pages(app)
        self._ours = _open_to_pages(ours)
        self._drain_s = drain_s
        self._drains = asyncio.Semaphore(MAX_DRAINED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._bentoml(scope, receive, send)
            return
        path = _SLASHES.sub(lambda match: "/" if match.end() < len(scope["path"]) else "", scope["path"]) or "/"
        if scope["type"] == "websocket":
            with _logged_socket(path):
                await self._ours({**scope, "path": path}, receive, send)
            return
        exchange = Exchange({**scope, "path": path}, receive, send, self._drain)
        token, started = subject.set(exchange.id), perf_counter()
        with gathered_remarks() as remarks:
            try:
                await self._answer(exchange)
            finally:
                _log_line(exchange, perf_counter() - started, remarks)
                subject.reset(token)

    async def _answer(self, exchange: Exchange) -> None:
        app = self._bentoml if exchange.scope["path"] in _LEFT_TO_BENTOML else self._ours
        try:
            await app(exchange.scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            if not exchange.started:
                await exchange.respond(Busy("The server is shutting down."))
            raise
        except Exception as exc:
            if not exchange.started:
                await exchange.respond(exc)
            elif not exchange.complete and not isinstance(exc, ClientDisconnect):
                raise

    async def _drain(self, exchange: Exchange) -> None:
        """Take what a refused client still sends, and drop it.

        Most clients read the answer only after they have sent everything, and a connection closed with bytes unread
        is reset, which may cost them the answer that they were already given.
        """
        if self._drains.locked():
            return
        async with self._drains:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._drain_s):
                    while not exchange.body_read:
                        await exchange.receive()


def _open_to_pages(app: ASGIApp) -> ASGIApp:
    """`app`, for pages of any origin, and for those of the internet to a server in their reader's own network.

    Requests carry no cookies, only a key that the page must have been given. Without keys, any page that is open on a
    machine in the network may use the server, as may any program there.
    """
    return CORSMiddleware(
        app,
        allow_origins=["*"],
        allow_methods=["*"],
        allow_headers=["*"],
        allow_private_network=True,
        expose_headers=["x-request-id", "retry-after"],
    )


class Exchange:
    """One request and its response, watched."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, drain: Callable[[Exchange], Awaitable[None]]
    ) -> None:
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        self.id = given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
        self.scope = scope
        self.status: int | None = None
        self.complete = False
        self.body_read = b"transfer-encoding" not in headers and headers.get(b"content-length", b"0") == b"0"
        self._receive = receive
        self._send = send
        self._drain = drain

    @property
    def started(self) -> bool:
        return self.status is not None

    async def receive(self) -> Message:
        message = await self._receive()
        if not message.get("more_body", False):
            self.body_read = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.id
            if not self.body_read:
                headers["connection"] = "close"
        elif not message.get("more_body", False):
            self.complete = True
            if not self.body_read:
                await self._send({**message, "more_body": True})
                await self._drain(self)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def respond(self, exc: Exception) -> None:
        await _open_to_pages(error_response(exc))(self.scope, self.receive, self.send)


@contextmanager
def _logged_socket(path: str) -> Iterator[None]:
    """An id and two lines for a WebSocket: it may last for hours, and what goes on in it is not logged."""
    token, started = subject.set(uuid.uuid4().hex), perf_counter()
    what = one_line(path)[:200]
    log.info("WebSocket %s begins", what)
    try:
        yield
    finally:
        log.info("WebSocket %s ends after %.1f s", what, perf_counter() - started)
        subject.reset(token)


def _log_line(exchange: Exchange, seconds: float, remarks: Sequence[str]) -> None:
    """What became of a request, and why."""
    level = logging.DEBUG if exchange.scope["path"] in _PROBES else logging.INFO
    if exchange.status in _OUR_FAULT:
        level = logging.ERROR
    # The raw path is percent-encoded: nothing in it can pass for a line of the log.
    path = exchange.scope["raw_path"].decode("ascii", "replace")
    what = f"{exchange.scope['method']} {path} → {exchange.status or 'no answer'}"
    why = f": {'; '.join(remarks)}" if remarks else ""
    log.log(level, "%s in %.3f s%s", what, seconds, why)
