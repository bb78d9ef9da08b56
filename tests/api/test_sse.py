"""Events on the wire, read back by the openai client's own decoder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import ServerSentEvent, SSEDecoder
from starlette.types import Message

from asr_core.api.sse import DONE, EventStream, delta_event, done_event, frame
from asr_core.text.formats import RenderOptions
from asr_core.types import Segment, Token, Transcript


def read(body: bytes) -> list[ServerSentEvent]:
    return list(SSEDecoder().iter_bytes(iter([body])))


def segment(index: int, text: str) -> Segment:
    tokens = tuple(Token(character, 0, -0.5) for character in text)
    return Segment(index, 0.0, 1.0, text, (), tokens, -0.5, 0.0)


async def receive() -> Message:
    raise AssertionError("nothing of the request is left to be received")


async def stream(segments: Sequence[Segment], *, n_pings: int = 1, ping_s: float = 15.0) -> list[Message]:
    """What is sent for `segments`, the first of which comes after `n_pings` comments."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    events = EventStream(send, ping_s=ping_s)
    async with events, asyncio.timeout(20):
        while len(sent) <= n_pings:
            await asyncio.sleep(0)
        for one in segments:
            await events.write(frame(delta_event(one, logprobs=True)))
        await events.write(frame(done_event(Transcript(tuple(segments), 1.0), RenderOptions(logprobs=True))))
    await events.ending(DONE)({}, receive, send)
    return sent


def body_of(sent: Sequence[Message]) -> bytes:
    return b"".join(message["body"] for message in sent[1:])


@given(texts=st.lists(st.text(min_size=1), max_size=5))
def test_whatever_was_said_the_deltas_joined_are_the_text_of_done_and_so_are_the_tokens(texts: list[str]) -> None:
    segments = [segment(index, text) for index, text in enumerate(texts)]
    *events, last = read(body_of(asyncio.run(stream(segments))))
    deltas, done = [json.loads(event.data) for event in events[:-1]], json.loads(events[-1].data)
    assert last.data == "[DONE]"
    assert "".join(delta["delta"] for delta in deltas) == done["text"] == " ".join(texts)
    assert "".join(entry["token"] for entry in done["logprobs"]) == done["text"]
    assert [entry for delta in deltas for entry in delta["logprobs"]] == done["logprobs"]


def test_the_headers_keep_proxies_from_holding_events_back() -> None:
    start = asyncio.run(stream([]))[0]
    headers = dict(start["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert (headers[b"cache-control"], headers[b"x-accel-buffering"]) == (b"no-cache", b"no")


def test_the_first_thing_sent_is_a_comment_and_further_ones_fill_the_silence() -> None:
    sent = asyncio.run(stream([segment(0, "да")], n_pings=3, ping_s=0.02))
    kinds = ["comment" if message["body"].startswith(b":") else "event" for message in sent[1:]]
    assert kinds[0] == "comment"
    assert kinds.count("comment") == 3
    assert kinds[-3:] == ["event", "event", "event"]
    assert [json.loads(event.data)["type"] for event in read(body_of(sent))[:-1]] == [
        "transcript.text.delta",
        "transcript.text.done",
    ]


def test_no_comment_is_sent_while_there_is_text_to_send() -> None:
    body = body_of(asyncio.run(stream([segment(index, "да") for index in range(50)])))
    assert body.count(b": ping") == 1


def test_only_the_last_message_ends_the_response() -> None:
    sent = asyncio.run(stream([segment(0, "да")]))
    assert [message["more_body"] for message in sent[1:]] == [True] * (len(sent) - 2) + [False]


def test_there_are_never_id_lines() -> None:
    body = body_of(asyncio.run(stream([segment(0, "id: 1\nid: 2")])))
    assert not [line for line in body.splitlines() if line.startswith(b"id")]


def test_each_event_is_named_after_its_type_and_an_error_is_not() -> None:
    events = read(body_of(asyncio.run(stream([segment(0, "да")]))) + frame({"error": {"message": "m"}}))
    assert [event.event for event in events] == ["transcript.text.delta", "transcript.text.done", None, None]


def test_warnings_are_told_at_the_end() -> None:
    said = Transcript((segment(0, "да"),), 1.0, ("The recording is cut short.",))
    assert done_event(said, RenderOptions())["warnings"] == ["The recording is cut short."]
    assert "warnings" not in done_event(Transcript((), 1.0), RenderOptions())
