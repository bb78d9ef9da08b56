"""`gigaam-asr live`: text while it is spoken."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import httpx
import typer
from httpx_ws import AsyncWebSocketSession, WebSocketDisconnect, WebSocketUpgradeError, aconnect_ws

from asr_core.answers import refusal
from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.cli.remote import address_of
from asr_core.configuration import read_settings
from asr_core.errors import AsrError, ConfigurationError

STDIN = "-"
STEP_BYTES = 4_800
"""A tenth of a second at 24 kHz."""

TAIL = bytes(20 * STEP_BYTES)
"""Silence after the last of the sound: it ends the last utterance."""

MARK = {"type": "session.update", "session": {"type": "transcription"}}
"""Is answered once all that was sent before it has arrived."""

MICROPHONES = {
    "linux": ("pulse", "default"),
    "darwin": ("avfoundation", ":default"),
    "win32": ("dshow", "audio=default"),
}
"""ffmpeg's input format and the device's name there."""

Write = Callable[[str], object]


def live(
    source: Annotated[
        str, typer.Argument(help="- is standard input, sound of any kind; else a microphone, as ffmpeg names it.")
    ] = "",
    device_format: Annotated[
        str,
        typer.Option("--device-format", help="ffmpeg's format of the microphone: pulse, alsa, avfoundation, dshow."),
    ] = "",
    server: Annotated[str, typer.Option(metavar="URL", help="The server; http:// may be left out.")] = "",
    api_key: Annotated[str | None, typer.Option(help="The server's, instead of the first in API_KEY.")] = None,
) -> None:
    """Write what is being spoken, an utterance a line, on a running server.

    ```
    gigaam-asr live
    gigaam-asr live --device-format alsa hw:1
    ffmpeg -i rtsp://camera/1 -vn -f wav - | gigaam-asr live - --server nas:3000
    ```

    Exit code: 0 when the sound has ended; 1 where it or the server failed.
    """
    try:
        settings = read_settings()
        key = api_key or next((key.get_secret_value() for key in settings.api_key), "")
        url = address_of(server or f"http://127.0.0.1:{settings.port}")
        command = [find_ffmpeg(settings.ffmpeg), "-v", "error", *_input(source, device_format)]
        asyncio.run(_run([*command, "-ac", "1", "-ar", "24000", "-f", "s16le", "-"], url, key, _write))
    except (ConfigurationError, AsrError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _input(source: str, device_format: str) -> list[str]:
    if source == STDIN:
        return ["-i", "pipe:0"]
    format_, device = MICROPHONES.get(sys.platform, ("pulse", "default"))
    return ["-f", device_format or format_, "-i", source or device]


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


async def _run(command: list[str], url: str, key: str, write: Write) -> None:
    """Send what `command` gives of sound, and write the texts. Raises AsrError."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = f"{url}/v1/realtime?intent=transcription"
    try:
        async with (
            httpx.AsyncClient(headers=headers) as client,
            _connected(address, client) as socket,
            _recorder(command) as recorder,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(_send(socket, recorder))
            await _show(socket, write)
    except* WebSocketUpgradeError as errors:
        response = _first(errors).response  # type: ignore[attr-defined]  # of that kind
        raise refusal(response.status_code, "") from None
    except* (httpx.HTTPError, WebSocketDisconnect) as errors:
        raise AsrError(f"{url} cannot be reached: {_first(errors) or type(_first(errors)).__name__}") from None
    except* AsrError as errors:
        raise _first(errors) from None


def _first(error: BaseException) -> Exception:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error


@asynccontextmanager
async def _connected(address: str, client: httpx.AsyncClient) -> AsyncIterator[AsyncWebSocketSession]:
    socket: AsyncWebSocketSession
    async with aconnect_ws(address, client) as socket:
        yield socket


@asynccontextmanager
async def _recorder(command: list[str]) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(*command, stdin=None, stdout=PIPE, stderr=None)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _send(socket: AsyncWebSocketSession, recorder: Process) -> None:
    """All of the sound, then silence. Raises AsrError if there was none."""
    assert recorder.stdout
    n_bytes = 0
    while sound := await recorder.stdout.read(STEP_BYTES):
        n_bytes += len(sound)
        await _append(socket, sound)
    if not n_bytes:
        raise AsrError("There was no sound: ffmpeg says above why.")
    await _append(socket, TAIL)
    await socket.send_text(json.dumps(MARK))


async def _append(socket: AsyncWebSocketSession, sound: bytes) -> None:
    event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()}
    await socket.send_text(json.dumps(event))


async def _show(socket: AsyncWebSocketSession, write: Write) -> None:
    """Write deltas as they come, until the sound has ended and its last utterance has been completed."""
    unheard, is_over = set[str](), False
    while unheard or not is_over:
        event = json.loads(await socket.receive_text())
        kind = event["type"].rpartition(".")[2]
        if kind == "delta":
            write(event["delta"])
        elif kind == "committed":
            unheard.add(event["item_id"])
        elif kind in {"completed", "failed"}:
            unheard.discard(event["item_id"])
            write("\n" if event.get("transcript", "?") else "")
        elif kind == "updated":  # the answer to the mark: all sound has arrived
            is_over = True
        elif kind == "error":
            raise AsrError(event["error"]["message"])
