"""A multipart upload, streamed into one temporary file: counted as it arrives, never held in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from asr_core.api.multipart import FILE_FIELD, FormDecoder, Keep, boundary_of
from asr_core.api.spool import Pace, Spool
from asr_core.errors import UploadStalled, UploadTooLarge
from asr_core.storage import room_for

WRITE_BYTES = 1024 * 1024
"""Gathered before a thread writes them: a disk that stalls must not stall the event loop."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What a multipart body held: the recording, in a file that lives as long as the request, and the text fields."""

    path: Path
    fields: tuple[tuple[str, str], ...]
    """Name and value, in the order of arrival; a name may occur more than once."""


@asynccontextmanager
async def receive_upload(
    request: Request,
    spool: Spool,
    *,
    wanted: Callable[[str], Keep],
    file_field: str = FILE_FIELD,
    prefix: bytes = b"",
) -> AsyncIterator[Upload]:
    """Read `request`'s body; its file is gone when the block is left, by whatever door.

    `wanted` says how much of a text field to keep; `prefix` is put before the recording, whose own header it may be.
    Raises BadRequest, UploadTooLarge and QueueFull (as soon as it is known), UploadStalled, StorageFull, StorageGone,
    ClientDisconnect.
    """
    decoder = FormDecoder(boundary_of(request.headers.get("content-type", ""), file_field), wanted, file_field)
    decoder.file_data += prefix
    _refuse_announced(request.headers.get("content-length"), spool.max_bytes)
    async with spool.file() as file:
        received, body = 0, _Body(request.receive, spool.pace)
        while not body.ended:
            piece = await body.next_piece()
            received += len(piece)
            if received > spool.max_bytes:
                raise _too_large(spool.max_bytes)
            decoder.feed(piece)
            if len(decoder.file_data) >= WRITE_BYTES:
                await run_in_threadpool(_write, file, decoder.take_file_data())
        fields = decoder.finish()
        await run_in_threadpool(_write, file, decoder.take_file_data())
        # Some formats are known by nothing else than what their files' names end in.
        path = await run_in_threadpool(Path(file.name).rename, file.name + decoder.suffix)
        yield Upload(path, fields)


def _write(file: BinaryIO, data: bytes) -> None:
    """Write all of `data` to an unbuffered file: what a buffer holds would be tried again when the file is closed."""
    rest = memoryview(data)
    with room_for("uploads"):
        while rest:
            rest = rest[file.write(rest) :]


def no_fields(field_name: str) -> Keep:
    """What is `wanted` of a form that has no fields besides the file."""
    return Keep.NOTHING


class _Body:
    """A request's body, in the pieces that it arrives in."""

    def __init__(self, receive: Receive, pace: Pace) -> None:
        self.ended = False
        self._receive = receive
        self._pace = pace
        self._bytes_left, self._s_left = pace.step_bytes, pace.step_s

    async def next_piece(self) -> bytes:
        """Wait for it. Raises UploadStalled, ClientDisconnect."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._s_left):
                message = await self._receive()
        except TimeoutError as exc:
            step = f"{self._pace.step_bytes // 1024} KiB of it in {self._pace.step_s:.0f} s"
            raise UploadStalled(f"The request's body arrives too slowly: less than {step}.") from exc
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self.ended = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        self._bytes_left -= len(piece)
        self._s_left -= clock() - began
        if self._bytes_left <= 0:
            self._bytes_left, self._s_left = self._pace.step_bytes, self._pace.step_s
        return piece


def _refuse_announced(content_length: str | None, max_bytes: int) -> None:
    """A body that says it is too large need not be read to be refused."""
    if content_length is not None and content_length.isdecimal() and int(content_length) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> UploadTooLarge:
    return UploadTooLarge(f"The request is larger than this server accepts ({max_bytes // 2**20} MiB).")
