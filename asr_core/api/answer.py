"""A request with a recording, from the first byte of its body to the last of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from asr_core.api.backend import Backend
from asr_core.api.multipart import FILE_FIELD, Keep
from asr_core.api.upload import Upload, receive_upload

T = TypeVar("T")

Work = Callable[[Upload, Send], Coroutine[Any, Any, ASGIApp]]
"""Makes the answer to an upload: returns it, or streams it over `send` itself and returns what sends the rest."""


class AnswerToUpload(Response):
    """Receives the upload, has `work` done on it, sends the answer.

    A response that does all of this in one call, because then one block owns what a request has: leaving it, by
    whatever door, stops the work and removes the file.
    """

    def __init__(
        self,
        backend: Backend,
        work: Work,
        *,
        wanted: Callable[[str], Keep],
        file_field: str = FILE_FIELD,
        prefix: bytes = b"",
    ) -> None:
        """`wanted`, `file_field` and `prefix` are `receive_upload`'s."""
        super().__init__()
        self._backend = backend
        self._work = work
        self._receive_upload = partial(
            receive_upload, spool=backend.spool, wanted=wanted, file_field=file_field, prefix=prefix
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._backend.metrics.request():
            self._backend.check_ready()
            async with self._receive_upload(Request(scope, receive)) as upload:
                response = await run_until_disconnect(self._work(upload, send), receive)
        await response(scope, receive, send)


async def run_until_disconnect(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """The result of `work`, which is cancelled, and ClientDisconnect raised, when the client closes its connection.

    `receive` must have delivered the whole body: a disconnect is then all that it still has to say. Returns or raises
    only when `work` has come to its end.
    """
    job = asyncio.create_task(work)
    gone = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
        left = not job.done()
    finally:
        job.cancel()
        gone.cancel()
        await asyncio.wait({job, gone})
    if left:
        raise ClientDisconnect
    return job.result()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
