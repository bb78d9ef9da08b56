"""WebSockets, as uvicorn serves them, cut when their client takes nothing for too long."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

STALL_S = 20.0
"""How long a client may leave unread what it has been sent."""

LOOK_S = 2.0
"""Between two looks at it."""


class LiveConnection(WSProtocol):
    """One client's WebSocket.

    What is sent waits in a buffer of bounded size, and behind that the session; closing would wait for the client as
    well. A connection on which nothing moves is therefore aborted.
    """

    def __init__(self, *args: Any, stall_s: float = STALL_S, look_s: float = LOOK_S, **options: Any) -> None:
        super().__init__(*args, **options)
        self._stall_s, self._look_s = stall_s, look_s
        self._watch: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._moved_at = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch:
            self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        unsent, now = self.transport.get_write_buffer_size(), self.loop.time()
        if not unsent or unsent < self._unsent:
            self._moved_at = now
        self._unsent = unsent
        if now - self._moved_at >= self._stall_s:
            self.transport.abort()
        else:
            self._watch = self.loop.call_later(self._look_s, self._look)
