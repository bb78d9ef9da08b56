"""Wyoming, the protocol of Home Assistant's voice assistants, on a port of its own. It knows no keys."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, get_args

from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStop
from wyoming.error import Error
from wyoming.event import Event, async_write_event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.ping import Ping, Pong

from asr_core.api.backend import Backend
from asr_core.api.problems import answer_to
from asr_core.api.realtime.driver import Driver
from asr_core.errors import AsrError, BadRequest
from asr_core.live import events
from asr_core.live.sound import Intake, Rate
from asr_core.types import Hints

log = logging.getLogger(__name__)

MOST_DATA = 64 << 10
"""Bytes of an event's data."""
MOST_SOUND = 1 << 20
"""Bytes of an event's sound."""
PIECE_BYTES = 32_000
MOST_CLIENTS = 64
STALL_S = 20.0
"""How long a client may leave an answer unread."""


class WyomingServer:
    """Answers on `port` of `host`."""

    def __init__(self, backend: Backend, host: str, port: int) -> None:
        self._backend = backend
        self._host, self._port = host, port
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, if there is a port to listen on. One that is taken is an OSError."""
        if not self._port:
            return
        self._server = await asyncio.start_server(self._serve, self._host, self._port)
        log.info("Wyoming on %s:%d, for whoever reaches that port: it has no keys", self._host, self._port)

    async def stop(self) -> None:
        """Stop listening, and end what clients have."""
        if self._server:
            self._server.close()
        for client in self._clients:
            client.cancel()
        if self._clients:
            await asyncio.wait(self._clients)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        if len(self._clients) >= MOST_CLIENTS:
            writer.transport.abort()
            return
        self._clients.add(task)
        try:
            await _Client(self._backend, reader, writer).serve()
        except (OSError, EOFError, TimeoutError):  # it has left, or says nothing, or takes nothing
            pass
        except Exception:
            log.exception("A Wyoming client could not be served")
        finally:
            self._clients.discard(task)
            writer.transport.abort()


class _Client:
    """One client: it describes, pings, and asks for one transcript after the other."""

    def __init__(self, backend: Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._backend = backend
        self._reader = reader
        self._writer = writer

    @property
    def _language(self) -> str | None:
        """Of the texts; None where the model knows several."""
        languages = self._backend.engine.status.languages
        return languages[0] if len(languages) == 1 else None

    async def serve(self) -> None:
        while (event := await self._read()) is not None:
            if Describe.is_type(event.type):
                await self._write(_info(self._backend).event())
            elif Ping.is_type(event.type):
                await self._write(Pong(Ping.from_event(event).text).event())
            elif Transcribe.is_type(event.type):
                try:
                    await self._transcribe()
                except AsrError as error:
                    told = answer_to(error).body["error"]
                    await self._write(Error(told["message"], told["code"]).event())
                    return

    async def _transcribe(self) -> None:
        """Sound until it stops → chunks of text while it comes, then all of it."""
        texts: list[str] = []

        async def tell(happened: Sequence[events.Event]) -> None:
            for event in happened:
                if isinstance(event, events.Delta):
                    await self._write(TranscriptChunk(event.text).event())
                elif isinstance(event, events.Completed):
                    texts.append(event.text)
                elif isinstance(event, events.Failed):
                    raise event.error

        with self._backend.engine.listen() as ear:
            await ear.attend(self._backend.settings.model_name, Hints())
            driver = Driver(ear, None, tell)
            await self._write(TranscriptStart(language=self._language).event())
            await driver.serve(self._listen(driver))
        await self._write(Transcript(" ".join(texts), language=self._language).event())
        await self._write(TranscriptStop().event())

    async def _listen(self, driver: Driver) -> None:
        intake: Intake | None = None
        while (event := await self._read()) is not None and not AudioStop.is_type(event.type):
            if AudioChunk.is_type(event.type):
                intake = intake or Intake("audio/pcm", _rate(event))
                sound = event.payload or b""
                for start in range(0, len(sound), PIECE_BYTES):
                    await driver.listen(intake.push(sound[start : start + PIECE_BYTES]))
        if event is None:
            raise EOFError
        with suppress(BadRequest):  # there was no sound
            driver.session.commit()
        await driver.report()
        await driver.finish()

    async def _read(self) -> Event | None:
        """The next event; None where there is none, or one that is none. Raises TimeoutError."""
        async with asyncio.timeout(self._backend.settings.live_idle_seconds):
            try:
                line = await self._reader.readline()
                head = json.loads(line or b"null")
                data_length, sound_length = (int(head.get(f"{kind}_length") or 0) for kind in ("data", "payload"))
                if not (0 <= data_length <= MOST_DATA and 0 <= sound_length <= MOST_SOUND):
                    return None
                data: dict[str, Any] = head.get("data") or {}
                if data_length:
                    data |= json.loads(await self._reader.readexactly(data_length))
                payload = await self._reader.readexactly(sound_length) if sound_length else None
                return Event(type=str(head["type"]), data=data, payload=payload)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                return None

    async def _write(self, event: Event) -> None:
        async with asyncio.timeout(STALL_S):
            await async_write_event(event, self._writer)
            await self._writer.drain()


def _rate(chunk: Event) -> Rate:
    """Of a chunk's sound, Hz. Raises BadRequest for what is not 16-bit mono of a rate that is known here."""
    if (chunk.data.get("width"), chunk.data.get("channels")) != (2, 1) or chunk.data.get("rate") not in get_args(Rate):
        raise BadRequest("The sound is to be 16-bit mono at 8000, 16000, 24000 or 48000 Hz.")
    rate: Rate = chunk.data["rate"]
    return rate


def _info(backend: Backend) -> Info:
    authors = Attribution("GigaAM", "https://github.com/salute-developers/GigaAM")
    name, languages = backend.settings.model_name, list(backend.engine.status.languages)
    model = AsrModel(name, authors, installed=True, description=f"GigaAM {name}", version=None, languages=languages)
    program = AsrProgram(
        "gigaam-asr",
        authors,
        installed=True,
        description="Russian speech recognition",
        version=None,
        models=[model],
        supports_transcript_streaming=True,
    )
    return Info(asr=[program])
