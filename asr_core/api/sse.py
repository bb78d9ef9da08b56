"""Server-sent events of a streamed transcription, as OpenAI's client reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import Send

from asr_core.api.stream import PING_S, LiveStream
from asr_core.text.encoding import to_json
from asr_core.text.formats import RenderOptions, delta_text, diarized_segment, logprob_entries, spoken, told
from asr_core.types import Segment, Transcript

MEDIA_TYPE = "text/event-stream; charset=utf-8"

DONE = b"data: [DONE]\n\n"
COMMENT = b": ping\n\n"
LOADING = b": the model is being loaded\n\n"


def frame(event: Mapping[str, Any]) -> bytes:
    """One event, under the name of its type, without which some clients drop it; an error has no type and no name.

    Never with an `id:` line: the next comment would break the openai client's parser.
    """
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {to_json(event)}\n\n".encode()


def delta_event(segment: Segment, *, logprobs: bool) -> dict[str, Any]:
    """What a recognised segment adds to the text."""
    event: dict[str, Any] = {"type": "transcript.text.delta", "delta": delta_text(segment)}
    return event | {"logprobs": logprob_entries(segment)} if logprobs else event


def segment_event(segment: Segment) -> dict[str, Any]:
    """What a speaker says."""
    return diarized_segment(segment)


def done_event(transcript: Transcript, options: RenderOptions) -> dict[str, Any]:
    """The whole text: the deltas before it, joined. Its `usage` could be of tokens only, of which there are none."""
    return {"type": "transcript.text.done"} | spoken(transcript, options) | told(transcript)


class EventStream(LiveStream):
    """A response of events, kept alive by comments. It ends with `DONE`, or with the frame of an error."""

    def __init__(self, send: Send, *, ping_s: float = PING_S) -> None:
        super().__init__(send, MEDIA_TYPE, COMMENT, ping_s=ping_s)
