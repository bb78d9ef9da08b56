"""The service as BentoML's own client sees it, and what BentoML would do that must not happen."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bentoml
import httpx
import pytest
from bentoml.exceptions import BentoMLException
from starlette.types import Message

from asr_core.answers import json_lines
from asr_core.api.native import NativeForm, _send_lines
from asr_core.client import Client
from asr_core.errors import BadAudio
from tests.conftest import Server, bentoml_client

# Raised by libraries that bentoml uses, when its client is first imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

MIB = 2**20


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[bentoml.SyncHTTPClient]:
    with bentoml_client(server) as connected:
        yield connected


def test_bentomls_client_sends_keywords(client: bentoml.SyncHTTPClient, speech: Path, spoken_text: str) -> None:
    written = spoken_text.replace("больница", "Больница")
    assert client.transcribe(file=speech, keywords=["Больница", "Kubernetes"])["text"] == written
    assert client.transcribe(file=speech, prompt="Это Больница.")["text"] == written
    asked = {"keywords": ["Больница"], "keywords_spelling": "model"}
    events = list(json_lines(client.transcribe_stream(file=speech, **asked)))
    assert events[-1]["text"] == spoken_text


def test_transcribe_returns_the_transcript_with_segments_and_words(
    client: bentoml.SyncHTTPClient, speech: Path, spoken_text: str
) -> None:
    answer = client.transcribe(file=speech)
    assert answer["text"] == spoken_text
    assert " ".join(segment["text"] for segment in answer["segments"]) == spoken_text
    assert " ".join(word["word"] for word in answer["words"]) == spoken_text


def test_transcribe_stream_yields_json_lines_and_last_the_whole_text(
    client: bentoml.SyncHTTPClient, speech: Path, spoken_text: str
) -> None:
    *segments, done = json_lines(client.transcribe_stream(file=speech))
    assert {segment["type"] for segment in segments} == {"segment"}
    assert len(segments) > 1
    assert " ".join(segment["text"] for segment in segments) == spoken_text
    assert (done["type"], done["text"]) == ("done", spoken_text)


@pytest.mark.parametrize("track", [None, 0, 2])
def test_the_sound_track_can_be_chosen(
    server: Server, client: bentoml.SyncHTTPClient, film: Path, track: int | None
) -> None:
    with Client(server.url) as ours:
        answers = [
            client.transcribe(file=film, audio_track=track),
            ours.transcribe(film, audio_track=track),
            list(json_lines(client.transcribe_stream(file=film, audio_track=track)))[-1],
            list(ours.stream(film, audio_track=track))[-1],
            client.transcribe_task(file=film, audio_track=track),
        ]
    heard = 1 if track is None else track
    assert [(answer["audio_track"], bool(answer["text"])) for answer in answers] == [(heard, heard > 0)] * 5


@pytest.mark.parametrize("route", ["/transcribe", "/transcribe_stream", "/transcribe_task/submit"])
def test_a_sound_track_that_is_not_there_is_a_bad_request(server: Server, speech: Path, route: str) -> None:
    for track in ("-1", "first"):
        answer = httpx.post(server.url + route, files={"file": speech.read_bytes()}, data={"audio_track": track})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "audio_track")


def test_a_stream_cut_anywhere_can_be_decoded(server: Server, speech: Path) -> None:
    with speech.open("rb") as file:
        response = httpx.post(f"{server.url}/transcribe_stream", files={"file": file}, timeout=60)
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.content.isascii()


def test_a_bad_recording_is_a_bad_request(client: bentoml.SyncHTTPClient, tmp_path: Path) -> None:
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no sound" * 1000)
    for method in (client.transcribe, lambda file: "".join(client.transcribe_stream(file=file))):
        with pytest.raises(BentoMLException) as refused:
            method(file=noise)
        assert refused.value.error_code == 400
        assert json.loads(str(refused.value))["error"]["param"] == "file"


def test_an_error_after_the_first_line_is_the_last_line() -> None:
    """And the generator, which holds the slot, is closed before the response ends."""
    closed = False

    async def lines() -> AsyncGenerator[str, None]:
        nonlocal closed
        try:
            yield "\n"
            yield '{"type": "segment"}\n'
            raise BadAudio("cut short")
        finally:
            closed = True

    segment, error = json_lines(answer(lines()))
    assert (segment["type"], error["type"]) == ("segment", "error")
    assert error["error"]["param"] == "file"
    assert closed


def test_blank_lines_fill_the_silence_from_the_first_moment_on() -> None:
    sent: list[Message] = []

    async def lines() -> AsyncGenerator[str, None]:
        yield "\n"
        for n_sent in (4, 8):
            async with asyncio.timeout(20):
                while len(sent) < n_sent:
                    await asyncio.sleep(0)
            yield '{"type": "segment"}\n'

    first, *rest = answer(lines(), sent, ping_s=0.02)
    assert first == "\n"
    assert rest.index('{"type": "segment"}\n') > 1
    assert rest.count("\n") > 4
    assert len(list(json_lines(rest))) == 2


def test_no_blank_line_is_sent_while_there_is_text_to_send() -> None:
    async def lines() -> AsyncGenerator[str, None]:
        yield "\n"
        for _ in range(50):
            yield '{"type": "segment"}\n'

    assert answer(lines()).count("\n") == 1


def answer(lines: AsyncGenerator[str, None], sent: list[Message] | None = None, *, ping_s: float = 15.0) -> list[str]:
    """The pieces of the response that `lines` become; the messages that make it are put into `sent` as they come."""
    sent = [] if sent is None else sent

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing of the request is left to be received")

    async def scenario() -> None:
        ending, _ = await _send_lines(lines, send, ping_s=ping_s)
        await ending({}, receive, send)

    asyncio.run(scenario())
    assert [message["more_body"] for message in sent[1:]] == [True] * (len(sent) - 2) + [False]
    return [message["body"].decode() for message in sent[1:]]


@pytest.fixture
def visited() -> Iterator[tuple[str, list[str]]]:
    """A web server's address, and the paths that were asked of it."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}/a.wav", paths
        web.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "route", ["/transcribe", "/transcribe_stream", "/transcribe_task/submit", "/v1/audio/transcriptions"]
)
def test_a_url_where_the_file_belongs_is_refused_and_never_fetched(
    server: Server, client: bentoml.SyncHTTPClient, visited: tuple[str, list[str]], route: str
) -> None:
    url, paths = visited
    target = server.url + route
    playlist = f"#EXTM3U\n#EXTINF:9,\n{url}\n".encode()
    requests = [
        httpx.post(target, json={"file": url}),
        httpx.post(target, data={"file": url}),
        httpx.post(target, files={"file": (None, url)}),
        httpx.post(target, files={"file": ("a.url", url.encode())}),
        httpx.post(target, files={"file": ("a.m3u8", playlist)}),
        httpx.post(target, content=url, headers={"content-type": "text/plain"}),
        httpx.post(target, content=url, headers={"content-type": "application/vnd.bentoml+pickle"}),
        httpx.post(target.replace("transcribe", "%74ranscribe"), json={"file": url}),
    ]
    assert {response.status_code for response in requests} == {400}
    with pytest.raises(BentoMLException):
        client.transcribe(file=url)
    assert paths == []


def test_the_published_schema_is_of_these_methods(server: Server) -> None:
    routes = {route["route"]: route for route in server.get("/schema.json").json()["routes"]}
    assert set(routes) == {"/transcribe", "/transcribe_stream", "/transcribe_task"}
    for route in routes.values():
        fields = route["input"]["properties"]
        assert (fields["file"]["type"], fields.keys()) == ("file", {"file", *NativeForm.model_fields})


@pytest.mark.parametrize("route", ["/transcribe", "/transcribe_task/submit", "/v1/audio/transcriptions"])
def test_the_size_of_an_upload_is_not_the_size_of_the_memory_it_takes(server: Server, route: str) -> None:
    """300 MiB go by while the worker's memory is watched."""
    size, boundary = 300 * MIB, b"--b\r\n"
    head = boundary + b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    worker = server.worker
    before = peak = worker.memory_info().rss
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.01):
            peak = max(peak, worker.memory_info().rss)

    def body() -> Iterator[bytes]:
        yield head
        yield from [bytes(MIB)] * (size // MIB)
        yield b"\r\n--b--\r\n"

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        response = httpx.post(
            server.url + route,
            content=body(),
            headers={"content-type": "multipart/form-data; boundary=b"},
            timeout=60,
        )
    finally:
        stop.set()
        watcher.join()
    assert response.status_code == 400, response.text
    assert peak - before < 60 * MIB
