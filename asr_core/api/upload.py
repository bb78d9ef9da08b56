"""A multipart upload, streamed into one temporary file: counted as it arrives, never held in memory."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from asr_core.api.multipart import FILE_FIELD, FormDecoder, Keep, boundary_of
from asr_core.api.spool import Spool
from asr_core.errors import StorageFull, UploadStalled, UploadTooLarge

WRITE_BYTES = 1024 * 1024
"""Gathered before a thread writes them: a disk that stalls must not stall the event loop."""

IDLE_S = 60.0
"""Longest silence in the middle of a body."""


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
    Raises BadRequest, UploadTooLarge and QueueFull (as soon as it is known), UploadStalled, StorageFull,
    ClientDisconnect.
    """
    decoder = FormDecoder(boundary_of(request.headers.get("content-type", ""), file_field), wanted, file_field)
    decoder.file_data += prefix
    _refuse_announced(request.headers.get("content-length"), spool.max_bytes)
    async with spool.file() as file:
        received, more = 0, True
        while more:
            piece, more = await _next_piece(request.receive)
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
    try:
        file.write(data)
        file.flush()
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise StorageFull(
            "The server has no disk space left for uploads: its owner must make room in TMPDIR."
        ) from error


def no_fields(field_name: str) -> Keep:
    """What is `wanted` of a form that has no fields besides the file."""
    return Keep.NOTHING


async def _next_piece(receive: Receive) -> tuple[bytes, bool]:
    """The next piece of the body, and whether more is to come."""
    try:
        async with asyncio.timeout(IDLE_S):
            message = await receive()
    except TimeoutError as exc:
        raise UploadStalled(f"Nothing of the request's body arrived for {IDLE_S:.0f} s.") from exc
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _refuse_announced(content_length: str | None, max_bytes: int) -> None:
    """A body that says it is too large need not be read to be refused."""
    if content_length is not None and content_length.isdecimal() and int(content_length) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> UploadTooLarge:
    return UploadTooLarge(f"The request is larger than this server accepts ({max_bytes // 2**20} MiB).")
