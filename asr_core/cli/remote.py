"""Transcribing on a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from math import exp
from pathlib import Path
from typing import Any

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from asr_core.answers import JsonLines, Unreachable, refusal, told
from asr_core.cli.batch import Heard, NoServer
from asr_core.errors import Busy, Unauthorized
from asr_core.types import RUSSIAN, Segment, Transcript, Word

SHARE = 2
"""Recordings sent at once are the server's queue by this: it is never idle, and others want to be served too."""

USUAL_QUEUE = 8
"""Of a server that does not say how long its queue is."""

PATIENCE_S = 600.0
"""How long a recording waits for a server that is busy, restarting or unreachable."""

TIMEOUT = httpx.Timeout(86_400.0, connect=10.0)
"""A recording takes as long as it takes."""


class RemoteTranscriber:
    """The server that `client` is for."""

    def __init__(self, client: httpx.AsyncClient, fields: Mapping[str, str], max_queue: int, patience_s: float) -> None:
        self.parallel = max(1, max_queue // SHARE)
        self._client = client
        self._fields = fields
        self._patience_s = patience_s

    async def transcribe(self, path: Path, heard: Heard) -> Transcript:
        """Raises NoServer if the server is, Unreachable if it is there and only this recording does not get through."""
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(Busy),
            wait=wait_random_exponential(multiplier=1, max=15),
            stop=stop_after_delay(self._patience_s),
            reraise=True,
        )
        try:
            return await attempts(self._transcribe, path, heard)
        except Unreachable:
            await _health(self._client)
            raise

    async def _transcribe(self, path: Path, heard: Heard) -> Transcript:
        segments: list[Segment] = []
        transcript: Transcript | None = None
        async with aclosing(self._events(path)) as events:
            async for event in events:
                if event["type"] == "segment":
                    segments.append(_segment(event))
                    heard(event["end"])
                elif event["type"] == "done":
                    transcript = _transcript(segments, event)
                elif event["type"] == "error":
                    raise told(event["error"])
        if transcript is None:
            raise Unreachable(f"{self._client.base_url} broke off in the middle of its answer.")
        return transcript

    async def _events(self, path: Path) -> AsyncGenerator[dict[str, Any], None]:
        lines = JsonLines()
        try:
            with path.open("rb") as file:
                files = {"file": (_sendable_name(path), file)}
                request = self._client.stream("POST", "/transcribe_stream", data=self._fields, files=files)
                async with request as response:
                    if not response.is_success:
                        raise refusal(response.status_code, (await response.aread()).decode(errors="replace"))
                    async for piece in response.aiter_text():
                        for event in lines.feed(piece):
                            yield event
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._client.base_url} cannot be reached: {_reason(error)}.") from error


@asynccontextmanager
async def remote_transcriber(
    url: str, api_key: str, fields: Mapping[str, str], say: Callable[[str], None], patience_s: float = PATIENCE_S
) -> AsyncIterator[RemoteTranscriber]:
    """The server at `url`: with or without a scheme, and with /v1 if it is given as the OpenAI client wants it;
    `fields` go with every recording.

    Raises NoServer if nothing answers there, Unauthorized if it does not accept the key.
    """
    address = address_of(url)
    headers = {b"Authorization": f"Bearer {api_key}".encode()} if api_key else {}
    try:
        client = httpx.AsyncClient(base_url=address, headers=headers, timeout=TIMEOUT, follow_redirects=True)
    except (httpx.InvalidURL, ValueError) as error:
        raise NoServer(f"{url} is no address of a server: {error}.") from error
    async with client:
        health = await _health(client)
        say(f"{health['model']} at {address}")
        yield RemoteTranscriber(client, fields, health.get("max_queue", USUAL_QUEUE), patience_s)


def _sendable_name(path: Path) -> str:
    """Not every name can be sent; but some formats are known by nothing else than what it ends in."""
    suffix = path.suffix
    return "recording" + (suffix if suffix[1:].isascii() and suffix[1:].isalnum() else "")


def address_of(url: str) -> str:
    """`nas:3000/v1/` → `http://nas:3000`."""
    return (url if "://" in url else f"http://{url}").rstrip("/").removesuffix("/v1")


async def _health(client: httpx.AsyncClient) -> dict[str, Any]:
    """What the server says of itself, its model at least, which shows whether it is there and lets us in.

    Raises NoServer or Unauthorized.
    """
    url = str(client.base_url).rstrip("/")
    try:
        if (await client.get("/v1/models", timeout=10.0)).status_code == httpx.codes.UNAUTHORIZED:
            raise Unauthorized(f"{url} wants an API key: give the right one with --api-key or in API_KEY.")
        answer = (await client.get("/health", timeout=10.0)).raise_for_status().json()
        return {"model": answer["model"], **answer}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise NoServer(f"There is no gigaam-asr server at {url}: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _transcript(segments: list[Segment], done: dict[str, Any]) -> Transcript:
    return Transcript(
        tuple(segments),
        done["duration"],
        tuple(done.get("warnings", ())),
        done.get("audio_track"),
        known_languages=tuple(language["code"] for language in done.get("languages", ())) or RUSSIAN,
    )


def _segment(event: dict[str, Any]) -> Segment:
    """The server tells no words' probabilities: the segment's, of the same kind, stands for them."""
    probability = exp(event["avg_logprob"])
    return Segment(
        index=event["id"],
        start_s=event["start"],
        end_s=event["end"],
        text=event["text"],
        words=tuple(Word(word["word"], word["start"], word["end"], probability) for word in event["words"]),
        tokens=(),
        avg_logprob=event["avg_logprob"],
        no_speech_prob=event["no_speech_prob"],
        speaker=event.get("speaker"),
    )
