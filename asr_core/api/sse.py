"""Server-sent events of a streamed transcription, as OpenAI's client reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import Send

from asr_core.api.stream import PING_S, LiveStream
from asr_core.text.formats import delta_text, logprob_entries, to_json
from asr_core.types import Segment, Transcript

MEDIA_TYPE = "text/event-stream; charset=utf-8"

DONE = b"data: [DONE]\n\n"
COMMENT = b": ping\n\n"


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


class EventStream(LiveStream):
    """A response of events, kept alive by comments. It ends with `DONE`, or with the frame of an error."""

    def __init__(self, send: Send, *, ping_s: float = PING_S) -> None:
        super().__init__(send, MEDIA_TYPE, COMMENT, ping_s=ping_s)

    async def event(self, event: Mapping[str, Any]) -> None:
        await self.write(frame(event))
