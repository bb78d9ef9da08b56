"""Connections, as uvicorn serves them, with bounds on how many there are and on what a client may leave undone.

The ASGI application knows nothing of a client until its request's head is there, nor after the last of the answer was
handed over. What happens before and after is bounded here: whoever opens connections and says nothing, or does not read
what it asked for, costs others nothing for long.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from asr_core.api.process import raise_file_limit
from asr_core.api.sockets import LiveConnection

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 2048
_AT_ONCE = struct.pack("ii", 1, 0)
"""As a socket's SO_LINGER: what has not been sent when it is closed is dropped."""
STOP_S = 25
"""How long a server that is told to stop lets the requests in hand go on, where nobody says otherwise: what is being
computed, and the end of libraries, come on top, and it is to be over within 35 s.
"""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may stand still, counted in looks: what holds up the whole server, other programs or a
    machine that was paused, is not held against its clients.
    """

    head_s: float = 30.0
    """Without a whole request head: new, between two requests, or in the middle of a head."""
    stall_s: float = 60.0
    """With an answer waiting of which the client takes less than `step_bytes`."""
    step_bytes: int = 48 * 1024
    look_s: float = 5.0
    """Between two looks at it."""


@dataclass(slots=True)
class Lobby:
    """The connections that no request is in hand for, the longest idle first; they make room for newcomers."""

    max_connections: int
    max_idle: int
    idle: dict[Connection, None] = field(default_factory=dict)
    _n_closed: int = 0
    _told_at: float = float("-inf")

    def admit(self, newcomer: Connection) -> bool:
        """Whether there is room for one more, or could be made; it is idle then."""
        if len(newcomer.connections) > self.max_connections or len(self.idle) >= self.max_idle:
            self._tell(newcomer.loop.time())
            oldest = next((c for c in self.idle if not c.unsent), None) or next(iter(self.idle), None)
            if oldest is None:
                return False
            oldest.cut()
        self.idle[newcomer] = None
        return True

    def enter(self, connection: Connection) -> None:
        """Its request has been answered: it is the last to have become idle."""
        self.leave(connection)
        self.idle[connection] = None

    def leave(self, connection: Connection) -> None:
        self.idle.pop(connection, None)

    def _tell(self, now: float) -> None:
        """A line a minute: a flood of connections must not become one of lines."""
        self._n_closed += 1
        if now - self._told_at >= 60.0:
            log.warning("Too many connections at once: idle ones make room (%d since the last time)", self._n_closed)
            self._n_closed, self._told_at = 0, now


class Connection(H11Protocol):
    """One client's connection, cut when nothing moves on it for too long."""

    def __init__(self, *args: Any, lobby: Lobby, patience: Patience, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lobby = lobby
        self._patience = patience
        self._watch: asyncio.TimerHandle | None = None
        self._n_moves = 0
        """Heads received, answers completed, pauses of writing begun and ended."""
        self._last_move = (0, 0)
        """Moves and unsent bytes when something was last seen to move."""
        self._n_still_looks = 0
        """Since then."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        if self._lobby.admit(self):
            self._watch = self.loop.call_later(self._patience.look_s, self._look)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lobby.leave(self)
        if self._watch:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_hand:
            self._lobby.leave(self)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._lobby.leave(self)
        if self._watch:  # another protocol takes over
            self._watch.cancel()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        self._n_moves += 1
        super().on_response_complete()
        if not self._is_in_hand and not self.transport.is_closing():
            self._lobby.enter(self)

    def pause_writing(self) -> None:
        self._n_moves += 1
        super().pause_writing()

    def resume_writing(self) -> None:
        self._n_moves += 1
        super().resume_writing()

    def cut(self) -> None:
        """End the connection, whatever the client has not read yet."""
        self._lobby.leave(self)
        if self.unsent:
            # Or the system would go on offering what it holds, with nobody to end that.
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self.transport.abort()
        else:
            self.transport.close()

    @property
    def unsent(self) -> int:
        """Bytes of an answer that wait for the client to take them."""
        return self.transport.get_write_buffer_size()

    @property
    def _is_in_hand(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _look(self) -> None:
        self._watch = self.loop.call_later(self._patience.look_s, self._look)
        unsent = self.unsent
        moves, unsent_before = self._last_move
        ours = self._is_in_hand and not self.flow.write_paused and not self.transport.is_closing()
        if ours or self._n_moves != moves or unsent_before - unsent >= self._patience.step_bytes:
            self._last_move = (self._n_moves, unsent)
            self._n_still_looks = 0
            return
        self._n_still_looks += 1
        if self._n_still_looks * self._patience.look_s >= (self._patience.stall_s if unsent else self._patience.head_s):
            self.cut()


class Config(uvicorn.Config):
    """uvicorn's configuration with such connections, as many as there may be files open, and with an end to waiting."""

    def __init__(self, *args: Any, patience: Patience | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        n_files = raise_file_limit()
        # A burst is accepted before any of it is looked at; the other half is for recordings, pipes and libraries.
        n_connections = min(MOST_CONNECTIONS, n_files // 2)
        self.backlog = min(self.backlog, n_connections // 2)
        lobby = Lobby(n_connections, n_connections // 2)
        made = partial(Connection, lobby=lobby, patience=patience or Patience())
        self.http = cast("type[asyncio.Protocol]", made)
        self.ws = LiveConnection
        if self.timeout_graceful_shutdown is None:
            self.timeout_graceful_shutdown = STOP_S
