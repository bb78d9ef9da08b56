"""A response that is sent piece by piece, over minutes or hours."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

PING_S = 15.0
"""Longest silence: something to skip keeps proxies from giving up on a stream that waits for its turn."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a client that reads slowly may leave to the server."""

    most_bytes: int = 1024 * 1024
    """Unread ones that are kept for it while work goes on."""
    hold_up_s: float = 60.0
    """How long, in all, it may hold up the work on its recording, which keeps a place, by leaving more than those."""


GENEROUS = Backlog()


class LiveStream:
    """A response over one ASGI `send` that is never silent for long.

    Entering sends the headers and `ping`, which means nothing to whoever reads the format; until the block is left,
    another follows whenever nothing else was sent for `ping_s` seconds. What is written is sent while the block goes
    on, and after it: leaving the block does not wait for the client. The `ending` does.
    """

    def __init__(
        self, send: Send, media_type: str, ping: bytes, *, ping_s: float = PING_S, backlog: Backlog = GENEROUS
    ) -> None:
        self.started = False
        self._send_message = send
        self._headers = _headers(media_type)
        self._ping = ping
        self._ping_s = ping_s
        self._most_bytes = backlog.most_bytes
        self._hold_up_s = backlog.hold_up_s
        self._unsent: deque[bytes] = deque()
        self._n_unsent = 0
        """Bytes, those included that are being sent."""
        self._written, self._taken = asyncio.Event(), asyncio.Event()
        self._open = False
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.started = self._open = True
        await self._send_message({"type": "http.response.start", "status": 200, "headers": self._headers})
        await self._send_piece(self._ping)
        self._sending = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        assert self._sending is not None
        self._open = False
        self._written.set()
        if kind is not None and (issubclass(kind, ClientDisconnect) or not issubclass(kind, Exception)):
            self._sending.cancel()  # there will be no ending
            await asyncio.wait([self._sending])

    async def write(self, data: bytes) -> None:
        """Have `data` sent. Raises ClientDisconnect where the client has held up the work for too long."""
        self._put(data)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._hold_up_s):
                while self._n_unsent > self._most_bytes:
                    self._taken.clear()
                    await self._taken.wait()
        except TimeoutError as exc:
            raise ClientDisconnect from exc
        self._hold_up_s -= loop.time() - began

    def ending(self, last: bytes) -> ASGIApp:
        """What sends the rest, and `last`, which may be empty, and ends the response."""

        async def end(_scope: Scope, _receive: Receive, _send: Send) -> None:
            assert self._sending is not None
            await self._sending
            await self._send_message({"type": "http.response.body", "body": last, "more_body": False})

        return end

    def _put(self, piece: bytes) -> None:
        self._unsent.append(piece)
        self._n_unsent += len(piece)
        self._written.set()

    async def _send(self) -> None:
        """Send what is written as it comes, pings where nothing does, until the block is left and all is sent."""
        while self._open or self._unsent:
            try:
                async with asyncio.timeout(self._ping_s):
                    await self._written.wait()
            except TimeoutError:
                self._put(self._ping)
            self._written.clear()
            while self._unsent:
                piece = self._unsent.popleft()
                await self._send_piece(piece)
                self._n_unsent -= len(piece)
                self._taken.set()

    async def _send_piece(self, piece: bytes) -> None:
        await self._send_message({"type": "http.response.body", "body": piece, "more_body": True})


def _headers(media_type: str) -> Iterable[tuple[bytes, bytes]]:
    """Nobody on the way is to hold pieces back, or to keep them."""
    return [(b"content-type", media_type.encode()), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
