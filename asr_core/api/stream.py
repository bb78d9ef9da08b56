"""A response that is sent piece by piece, over minutes or hours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Self

from starlette.types import Send

PING_S = 15.0
"""Longest silence: something to skip keeps proxies from giving up on a stream that waits for its turn."""


class LiveStream:
    """A response over one ASGI `send` that is never silent for long.

    Entering sends the headers and `ping`, which means nothing to whoever reads the format; until the block is left,
    another follows whenever nothing else was sent for `ping_s` seconds. `finish` ends the response, after the block.
    """

    def __init__(self, send: Send, media_type: str, ping: bytes, *, ping_s: float = PING_S) -> None:
        self.started = False
        self._send_message = send
        self._headers = _headers(media_type)
        self._ping = ping
        self._ping_s = ping_s
        self._lock = asyncio.Lock()
        self._sent_at = 0.0
        self._pings: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.started = True
        await self._send_message({"type": "http.response.start", "status": 200, "headers": self._headers})
        await self.write(self._ping)
        self._pings = asyncio.create_task(self._keep_alive())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._pings is not None
        self._pings.cancel()
        await asyncio.gather(self._pings, return_exceptions=True)

    async def write(self, data: bytes) -> None:
        await self._write(data, more_body=True)

    async def finish(self, last: bytes) -> None:
        """Send `last`, which may be empty, and end the response."""
        await self._write(last, more_body=False)

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._sent_at + self._ping_s - loop.time())
            if loop.time() - self._sent_at >= self._ping_s:
                await self.write(self._ping)

    async def _write(self, data: bytes, *, more_body: bool) -> None:
        async with self._lock:
            await self._send_message({"type": "http.response.body", "body": data, "more_body": more_body})
        self._sent_at = asyncio.get_running_loop().time()


def _headers(media_type: str) -> Iterable[tuple[bytes, bytes]]:
    """Nobody on the way is to hold pieces back, or to keep them."""
    return [(b"content-type", media_type.encode()), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
