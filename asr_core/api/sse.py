"""Server-sent events of a streamed transcription, as OpenAI's client reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Self

from starlette.types import Send

from asr_core.text.formats import delta_text, logprob_entries, to_json
from asr_core.types import Segment, Transcript

PING_S = 15.0
"""Longest silence: a comment keeps proxies from giving up on a stream that waits for its turn."""

DONE = b"data: [DONE]\n\n"
COMMENT = b": ping\n\n"

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def frame(event: Mapping[str, Any]) -> bytes:
    """One event. Never with an `id:` line: the next comment would break the openai client's parser."""
    return f"data: {to_json(event)}\n\n".encode()


def delta_event(segment: Segment, *, logprobs: bool) -> dict[str, Any]:
    """What a recognised segment adds to the text."""
    event: dict[str, Any] = {"type": "transcript.text.delta", "delta": delta_text(segment)}
    return event | {"logprobs": logprob_entries(segment)} if logprobs else event


def done_event(transcript: Transcript, *, logprobs: bool) -> dict[str, Any]:
    """The whole text: the deltas before it, joined."""
    event: dict[str, Any] = {"type": "transcript.text.done", "text": transcript.text}
    if not logprobs:
        return event
    return event | {"logprobs": [entry for segment in transcript.segments for entry in logprob_entries(segment)]}


class EventStream:
    """A response of events over one ASGI `send`.

    Entering sends the headers and a comment; until the block is left, a comment follows whenever nothing else was
    sent for `ping_s` seconds. `finish` ends the response, after the block.
    """

    def __init__(self, send: Send, *, ping_s: float = PING_S) -> None:
        self.started = False
        self._send_message = send
        self._ping_s = ping_s
        self._lock = asyncio.Lock()
        self._sent_at = 0.0
        self._pings: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.started = True
        await self._send_message({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await self._write(COMMENT)
        self._pings = asyncio.create_task(self._keep_alive())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._pings is not None
        self._pings.cancel()
        await asyncio.gather(self._pings, return_exceptions=True)

    async def event(self, event: Mapping[str, Any]) -> None:
        await self._write(frame(event))

    async def finish(self, last: bytes) -> None:
        """Send `last` (`DONE`, or the frame of an error) and end the response."""
        await self._write(last, more_body=False)

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._sent_at + self._ping_s - loop.time())
            if loop.time() - self._sent_at >= self._ping_s:
                await self._write(COMMENT)

    async def _write(self, data: bytes, *, more_body: bool = True) -> None:
        async with self._lock:
            await self._send_message({"type": "http.response.body", "body": data, "more_body": more_body})
        self._sent_at = asyncio.get_running_loop().time()
