"""Events as OpenAI's Realtime API writes them: one table of those that a client may send, one of those that it gets."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from asr_core.api.problems import answer_to
from asr_core.api.realtime.options import complaint
from asr_core.errors import BadRequest
from asr_core.live import events
from asr_core.text.words import SpokenWord, clamp_log_prob

Json = dict[str, Any]

TRANSCRIPTION = "conversation.item.input_audio_transcription"


class _ClientEvent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    event_id: str | None = None


class Update(_ClientEvent):
    """`session` is looked at by whoever knows what it was before."""

    session: Any


class Append(_ClientEvent):
    audio: str

    @property
    def sound(self) -> bytes:
        try:
            return base64.b64decode(self.audio, validate=True)
        except (binascii.Error, ValueError):
            raise BadRequest("audio: Input should be base64", "audio") from None


class Commit(_ClientEvent): ...


class Clear(_ClientEvent): ...


ClientEvent = Update | Append | Commit | Clear

CLIENT_EVENTS: Mapping[str, type[ClientEvent]] = {
    "session.update": Update,
    "input_audio_buffer.append": Append,
    "input_audio_buffer.commit": Commit,
    "input_audio_buffer.clear": Clear,
}


class UnreadableEvent(BadRequest):
    """An event that cannot be used; `event_id` is its own, where it has one."""

    def __init__(self, message: str, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message, param)
        self.event_id = event_id


def parse(message: str) -> ClientEvent:
    """A client's event. Raises UnreadableEvent."""
    try:
        event = json.loads(message)
    except (ValueError, RecursionError):
        raise UnreadableEvent("The event is not JSON.") from None
    if not isinstance(event, dict):
        raise UnreadableEvent("The event is not a JSON object.")
    event_id = event.get("event_id")
    event_id = event_id[:512] if isinstance(event_id, str) else None
    kind = CLIENT_EVENTS.get(event["type"]) if isinstance(event.get("type"), str) else None
    if kind is None:
        known = ", ".join(CLIENT_EVENTS)
        name = str(event.get("type"))[:100]
        raise UnreadableEvent(f"Unknown event type {name!r}. A transcription session takes {known}.", "type", event_id)
    try:
        return kind.model_validate(event)
    except ValidationError as error:
        wrong = complaint(error)
        raise UnreadableEvent(str(wrong), wrong.param, event_id) from None


@dataclass(frozen=True, slots=True)
class Teller:
    """Writes a session's events, each with an id of its own."""

    logprobs: bool

    def session(self, kind: str, shown: Json) -> str:
        return _written({"type": kind, "session": shown})

    def tell(self, event: events.Event) -> Iterator[str]:
        """What the client gets for `event`, in order."""
        for body in _TOLD[type(event)](event, self.logprobs):
            yield _written(body)

    def error(self, error: Exception, event_id: str | None = None) -> str:
        return _written({"type": "error", "error": _fault(error) | {"event_id": event_id}})


def _written(body: Json) -> str:
    return json.dumps({"event_id": f"event_{secrets.token_hex(10)}", **body}, ensure_ascii=False)


def _fault(error: Exception) -> Json:
    fault: Json = answer_to(error).body["error"]
    return fault


def _started(event: events.SpeechStarted, _: bool) -> Iterator[Json]:
    yield {"type": "input_audio_buffer.speech_started", "audio_start_ms": event.at_ms, "item_id": event.item_id}


def _stopped(event: events.SpeechStopped, _: bool) -> Iterator[Json]:
    yield {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": event.at_ms, "item_id": event.item_id}


def _committed(event: events.Committed, _: bool) -> Iterator[Json]:
    place = {"previous_item_id": event.previous_id}
    content = [{"type": "input_audio", "transcript": None}]
    kind = {"type": "message", "object": "realtime.item", "status": "completed", "role": "user"}
    item = {"id": event.item_id, **kind, "content": content}
    yield {"type": "input_audio_buffer.committed", "item_id": event.item_id, **place}
    yield {"type": "conversation.item.added", "item": item, **place}
    yield {"type": "conversation.item.done", "item": item, **place}


def _cleared(event: events.Cleared, _: bool) -> Iterator[Json]:
    yield {"type": "input_audio_buffer.cleared"}


def _delta(event: events.Delta, logprobs: bool) -> Iterator[Json]:
    body = {"type": f"{TRANSCRIPTION}.delta", "item_id": event.item_id, "content_index": 0, "delta": event.text}
    yield body | _logprobs(event.words, logprobs, continues=event.continues)


def _completed(event: events.Completed, logprobs: bool) -> Iterator[Json]:
    body = {"type": f"{TRANSCRIPTION}.completed", "item_id": event.item_id, "content_index": 0}
    usage = {"type": "duration", "seconds": round(event.seconds, 3)}
    yield body | {"transcript": event.text, "usage": usage} | _logprobs(event.words, logprobs)


def _failed(event: events.Failed, _: bool) -> Iterator[Json]:
    body = {"type": f"{TRANSCRIPTION}.failed", "item_id": event.item_id, "content_index": 0}
    yield body | {"error": _fault(event.error)}


_TOLD: Mapping[type[events.Event], Callable[[Any, bool], Iterator[Json]]] = {
    events.SpeechStarted: _started,
    events.SpeechStopped: _stopped,
    events.Committed: _committed,
    events.Cleared: _cleared,
    events.Delta: _delta,
    events.Completed: _completed,
    events.Failed: _failed,
}


def _logprobs(words: Iterable[SpokenWord], wanted: bool, *, continues: bool = False) -> Json:
    """The entries' tokens, joined, are the text that they come with."""
    if not wanted:
        return {}
    tokens = [
        token for n, word in enumerate(words) for token in (word.spaced_tokens if n or continues else word.tokens)
    ]
    return {
        "logprobs": [
            {"token": token.text, "bytes": list(token.text.encode()), "logprob": clamp_log_prob(token.log_prob)}
            for token in tokens
        ]
    }
