"""`GET /v1/realtime?intent=transcription`: a live session over a WebSocket."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.websockets import WebSocket, WebSocketDisconnect

from asr_core.api.backend import Backend
from asr_core.api.problems import error_response
from asr_core.api.realtime.client_secrets import ClientSecrets
from asr_core.api.realtime.driver import Driver
from asr_core.api.realtime.options import SessionOptions, session_options
from asr_core.api.realtime.protocol import (
    Append,
    Clear,
    ClientEvent,
    Commit,
    Teller,
    Update,
    parse,
)
from asr_core.errors import AsrError, BadRequest, Busy
from asr_core.live.events import Event
from asr_core.live.sound import Intake

if TYPE_CHECKING:
    from asr_core.engine.ear import Ear

KEY_PROTOCOL = "openai-insecure-api-key."
"""Of a subprotocol by which a browser, whose WebSockets have no headers, sends its key."""

PIECE_BYTES = 32_000
"""Sound is taken in pieces of a second or less, however much of it an event holds."""

NORMAL, INTERNAL_ERROR, TRY_AGAIN_LATER = 1000, 1011, 1013

MAX_ERRORS = 10_000
"""Events that a session may get wrong."""


class IdleSession(BadRequest):
    """Nothing came from the client for too long."""


async def serve(websocket: WebSocket, backend: Backend, issued: ClientSecrets) -> None:
    """Hold a session for as long as its client does. No exception leaves."""
    try:
        options = _admitted(websocket, backend, issued)
    except AsrError as error:
        await websocket.send_denial_response(error_response(error))
        return
    await websocket.accept("realtime" if "realtime" in _protocols(websocket) else None)
    try:
        await _Conversation(websocket, backend, options).hold()
    except Exception as error:
        with suppress(WebSocketDisconnect, RuntimeError):  # it may have left, or be closed already
            await _part(websocket, error)


async def _part(websocket: WebSocket, cause: Exception) -> None:
    """Tell the client why the session is over, and close it."""
    if isinstance(cause, WebSocketDisconnect):
        return
    await websocket.send_text(Teller(logprobs=False).error(cause))
    codes = {Busy: TRY_AGAIN_LATER, BadRequest: NORMAL}
    await websocket.close(next((code for kind, code in codes.items() if isinstance(cause, kind)), INTERNAL_ERROR))


def _admitted(websocket: WebSocket, backend: Backend, issued: ClientSecrets) -> SessionOptions:
    """What the session begins with. Raises Unauthorized, or BadRequest for what is no transcription."""
    key = next((name.removeprefix(KEY_PROTOCOL) for name in _protocols(websocket) if name.startswith(KEY_PROTOCOL)), "")
    azure = websocket.headers.get("api-key") or key
    authorization = websocket.headers.get("authorization") or (f"Bearer {azure}" if azure else None)
    promised = issued.find((authorization or "").partition(" ")[2].strip())
    if promised is None:
        backend.keys.check(authorization)
    model = websocket.query_params.get("model")
    if websocket.query_params.get("intent") != "transcription" and not (
        model and backend.settings.accepts_model(model)
    ):
        raise BadRequest("This server transcribes, it holds no conversations: use ?intent=transcription.", "intent")
    options = promised or SessionOptions()
    if model and backend.settings.accepts_model(model) and not options.model:
        return session_options({"audio": {"input": {"transcription": {"model": model}}}}, backend.settings, options)
    return options


def _protocols(websocket: WebSocket) -> list[str]:
    protocols: list[str] = websocket.scope.get("subprotocols", [])
    return protocols


class _Conversation:
    """One session's two directions."""

    def __init__(self, websocket: WebSocket, backend: Backend, options: SessionOptions) -> None:
        self._websocket = websocket
        self._backend = backend
        self._options = options
        self._teller = Teller(options.logprobs)
        self._intake = _intake(options)
        self._id = f"sess_{secrets.token_hex(10)}"
        self._n_errors = 0
        self._driver: Driver
        self._ear: Ear

    async def hold(self) -> None:
        """Until the client leaves or has been silent for too long. Raises what ends the session."""
        with self._backend.engine.listen() as ear:
            self._ear, self._driver = ear, Driver(ear, self._options.turns, self._tell)
            await self._attend()
            await self._send(self._teller.session("session.created", self._options.shown(self._id)))
            await self._driver.serve(self._receive())

    async def _receive(self) -> None:
        idle_s = self._backend.settings.live_idle_seconds
        while True:
            try:
                async with asyncio.timeout(idle_s):
                    message = await self._websocket.receive()
            except TimeoutError:
                raise IdleSession(f"The session was idle for {idle_s:g} s, and is over.") from None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            await self._take(message.get("text") or "")

    async def _take(self, message: str) -> None:
        """Act on one event; what is wrong with it is told, and the session lives on."""
        event: ClientEvent | None = None
        try:
            event = parse(message)
            await self._act(event)
        except BadRequest as error:
            self._n_errors += 1
            if self._n_errors > MAX_ERRORS:
                raise
            event_id = event.event_id if event else getattr(error, "event_id", None)
            await self._send(self._teller.error(error, event_id))

    async def _act(self, event: ClientEvent) -> None:
        match event:
            case Append():
                for piece in _pieces(event.sound):
                    await self._driver.listen(self._intake.push(piece))
            case Commit():
                self._driver.session.commit()
                await self._driver.report()
            case Clear():
                self._driver.session.clear()
                await self._driver.report()
            case Update():
                await self._update(event)

    async def _update(self, event: Update) -> None:
        options = session_options(event.session, self._backend.settings, self._options)
        if options.turns != self._options.turns:
            self._driver.session.configure(options.turns)
        if options.audio.input.format != self._options.audio.input.format:
            self._intake = _intake(options)
        asks_anew = (options.model, options.hints) != (self._options.model, self._options.hints)
        self._options, self._teller = options, Teller(options.logprobs)
        if asks_anew:
            await self._attend()
        await self._send(self._teller.session("session.updated", options.shown(self._id)))

    async def _attend(self) -> None:
        """Have what comes heard with the model that was chosen, which listens for what was named."""
        await self._ear.attend(self._backend.settings.called(self._options.model), self._options.hints)

    async def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            for message in self._teller.tell(event):
                await self._send(message)

    async def _send(self, message: str) -> None:
        await self._websocket.send_text(message)


def _intake(options: SessionOptions) -> Intake:
    sound = options.audio.input.format
    return Intake(sound.type, sound.hertz)


def _pieces(sound: bytes) -> Iterator[bytes]:
    return (sound[start : start + PIECE_BYTES] for start in range(0, len(sound), PIECE_BYTES))
