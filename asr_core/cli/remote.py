"""Transcribing on a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from math import exp
from pathlib import Path
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from asr_core.cli.batch import Heard, NoServer
from asr_core.client import Client, Unreachable
from asr_core.errors import Busy, Unauthorized
from asr_core.types import Segment, Transcript, Word

PARALLEL = 4
"""Recordings sent at once: the server computes chunks of several together, and others want to be served too."""

PATIENCE_S = 600.0
"""How long a recording waits for a server that is busy, restarting or unreachable."""

CONNECT_S = 10.0


class RemoteTranscriber:
    """The server at `url`. Threads, because BentoML's client blocks; each recording has a client of its own."""

    parallel = PARALLEL

    def __init__(self, url: str, api_key: str, threads: ThreadPoolExecutor) -> None:
        self._url = url
        self._api_key = api_key
        self._threads = threads

    async def transcribe(self, path: Path, heard: Heard) -> Transcript:
        """Raises NoServer if the server is, Unreachable if it is there and only this recording does not get through."""
        loop = asyncio.get_running_loop()

        def heard_there(seconds: float) -> None:
            loop.call_soon_threadsafe(heard, seconds)

        try:
            return await loop.run_in_executor(self._threads, self._transcribe_patiently, path, heard_there)
        except Unreachable:
            await _model(self._url, self._api_key)
            raise

    def _transcribe_patiently(self, path: Path, heard: Heard) -> Transcript:
        attempts = Retrying(
            retry=retry_if_exception_type(Busy),
            wait=wait_random_exponential(multiplier=1, max=15),
            stop=stop_after_delay(PATIENCE_S),
            reraise=True,
        )
        return attempts(self._transcribe, path, heard)

    def _transcribe(self, path: Path, heard: Heard) -> Transcript:
        with Client(self._url, self._api_key) as client:
            *lines, done = self._events(client, path, heard)
        return Transcript(tuple(map(_segment, lines)), done["duration"])

    def _events(self, client: Client, path: Path, heard: Heard) -> Iterator[dict[str, Any]]:
        for event in client.stream(path):
            if event["type"] == "segment":
                heard(event["end"])
            yield event


@asynccontextmanager
async def remote_transcriber(url: str, api_key: str, say: Callable[[str], None]) -> AsyncIterator[RemoteTranscriber]:
    """The server at `url`, which may be given as the OpenAI client wants it, with /v1.

    Raises NoServer if nothing answers there, Unauthorized if it does not accept the key.
    """
    url = url.rstrip("/").removesuffix("/v1")
    say(f"{await _model(url, api_key)} at {url}")
    # Not the loop's own executor: asyncio waits for that one's threads, even when it is interrupted.
    threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="client")
    try:
        yield RemoteTranscriber(url, api_key, threads)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


async def _model(url: str, api_key: str) -> str:
    """Ask the server for its model, which shows whether it is there and lets us in. Raises NoServer or Unauthorized."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=CONNECT_S, follow_redirects=True) as client:
            if (await client.get("/v1/models")).status_code == httpx.codes.UNAUTHORIZED:
                raise Unauthorized(f"{url} wants an API key: give the right one with --api-key or in API_KEY.")
            answer = await client.get("/health")
        return str(answer.raise_for_status().json()["model"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise NoServer(f"There is no gigaam-asr server at {url}: {str(error) or type(error).__name__}.") from error


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
    )
