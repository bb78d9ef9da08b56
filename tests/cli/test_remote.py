"""What a batch makes of a server that misbehaves, which ours does not do on demand."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.cli.batch import NoServer, run_batch
from asr_core.cli.output import FileSink
from asr_core.cli.plan import BatchItem
from asr_core.cli.progress import Report
from asr_core.cli.remote import remote_transcriber
from asr_core.text.formats import RenderOptions
from tests.cli.conftest import Run
from tests.conftest import Server

Answer = Callable[["Handler", bytes], None]
"""Answers the recording whose request has this body."""

DONE = b'{"type": "done", "duration": 1.0}\n'


class Handler(BaseHTTPRequestHandler):
    """Says what a server of ours says to whoever asks what it is."""

    protocol_version = "HTTP/1.1"
    answer: Answer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.say(200, b'{"model": "stand-in", "max_queue": 5}' if self.path == "/health" else b"{}")

    def do_POST(self) -> None:
        type(self).answer(self, self.rfile.read(int(self.headers["Content-Length"])))

    def say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def stand_in(answer: Answer) -> Iterator[str]:
    """The address of a server with these answers."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), type("Chosen", (Handler,), {"answer": staticmethod(answer)}))
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}"
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def batch_of(folder: Path, *names: str) -> list[BatchItem]:
    """Recordings that contain their own names."""
    for name in names:
        (folder / name).write_text(name)
    return [BatchItem(folder / name, name, {"text": folder / f"{name}.txt"}) for name in names]


async def transcribe(items: list[BatchItem], url: str, report: Report, *, patience_s: float = 0.0) -> None:
    async with remote_transcriber(url, "", {}, say=lambda _: None, patience_s=patience_s) as transcriber:
        await run_batch(list(enumerate(items)), transcriber, FileSink(RenderOptions()), report)


def break_off_bad_ones(request: Handler, body: bytes) -> None:
    if b"bad" in body:
        request.close_connection = True
    else:
        request.say(200, DONE)


def test_a_recording_that_never_gets_through_does_not_stop_the_others(tmp_path: Path) -> None:
    items = batch_of(tmp_path, "bad.wav", "good.wav")
    report = Report(len(items))
    with stand_in(break_off_bad_ones) as url:
        asyncio.run(transcribe(items, url, report))
    (failure,) = report.failures
    assert (failure.label, "cannot be reached" in failure.reason) == ("bad.wav", True)
    assert (tmp_path / "good.wav.txt").exists()


def test_a_server_that_is_gone_stops_the_batch(tmp_path: Path) -> None:
    items = batch_of(tmp_path, "bad.wav")
    report = Report(len(items))

    async def lose_the_server() -> None:
        with stand_in(break_off_bad_ones) as url:
            scope = remote_transcriber(url, "", {}, say=lambda _: None, patience_s=0.0)
            transcriber = await scope.__aenter__()
        try:
            await run_batch(list(enumerate(items)), transcriber, FileSink(RenderOptions()), report)
        finally:
            await scope.__aexit__(None, None, None)

    with pytest.raises(NoServer, match="There is no gigaam-asr server at"):
        asyncio.run(lose_the_server())
    assert not report.failures


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_that_is_away_for_a_moment_is_asked_again(tmp_path: Path, status: int) -> None:
    items = batch_of(tmp_path, "talk.wav")
    report = Report(len(items))
    statuses = iter([status, 200])

    def answer(request: Handler, body: bytes) -> None:
        request.say(status, b"<html>") if (status := next(statuses)) != 200 else request.say(200, DONE)

    with stand_in(answer) as url:
        asyncio.run(transcribe(items, url, report, patience_s=60.0))
    assert not report.failures
    assert next(statuses, None) is None


def test_what_a_proxy_says_is_told_without_its_page(tmp_path: Path) -> None:
    items = batch_of(tmp_path, "talk.wav")
    report = Report(len(items))
    with stand_in(lambda request, body: request.say(502, b"<html>nginx</html>")) as url:
        asyncio.run(transcribe(items, url, report))
    assert [failure.reason for failure in report.failures] == ["The server answered 502 Bad Gateway."]


def test_a_batch_asks_for_nothing_but_its_transcripts_over_connections_that_it_keeps(tmp_path: Path) -> None:
    items = batch_of(tmp_path, *(f"{number}.wav" for number in range(20)))
    report = Report(len(items))
    connections: list[object] = []

    def answer(request: Handler, body: bytes) -> None:
        connections.append(request.client_address)
        request.say(200, DONE)

    with stand_in(answer) as url:
        asyncio.run(transcribe(items, url.removeprefix("http://"), report))
    assert not report.failures
    assert len(connections) == len(items)
    assert len(set(connections)) <= 2, "half of the queue, so that others are served too"


@pytest.mark.parametrize(("health", "parallel"), [({"max_queue": 1}, 1), ({"max_queue": 16}, 8), ({}, 4)])
def test_as_many_recordings_are_sent_at_once_as_the_servers_queue_allows(
    monkeypatch: pytest.MonkeyPatch, health: dict[str, int], parallel: int
) -> None:
    async def found(url: str) -> int:
        async with remote_transcriber(url, "", {}, lambda message: None) as transcriber:
            return transcriber.parallel

    said = json.dumps({"model": "stand-in"} | health).encode()
    monkeypatch.setattr(Handler, "do_GET", lambda request: request.say(200, said))
    with stand_in(lambda request, body: None) as url:
        assert asyncio.run(found(url)) == parallel


def test_a_servers_sound_track_can_be_chosen(run: Run, server: Server, film: Path) -> None:
    for options, heard in (([], 1), (["--audio-track", "0"], 0), (["--audio-track", "2"], 2)):
        done = run("transcribe", film, "--server", server.url, "-f", "verbose_json", "-o", "-", *options)
        answer = json.loads(done.stdout)
        assert (answer["audio_track"], bool(answer["text"])) == (heard, heard > 0)


def test_a_recording_known_by_its_names_ending_alone_is_heard_on_a_server(
    run: Run, server: Server, speech: Path, spoken_text: str, tmp_path: Path
) -> None:
    name = tmp_path / "звонок «№ 5».g722"
    subprocess.run([find_ffmpeg(), "-v", "error", "-i", speech, name], check=True)
    assert run("transcribe", name, "--server", server.url, "-o", "-").stdout.split() == spoken_text.split()


def test_what_is_hopeless_for_all_ends_the_program_while_others_are_still_being_answered(
    run: Run, tmp_path: Path
) -> None:
    both_are_here, over = threading.Barrier(2), threading.Event()

    def refuse_one(request: Handler, body: bytes) -> None:
        both_are_here.wait(60)
        if b"one" in body:
            request.say(401, b'{"error": {"message": "no more"}}')
        else:
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            request.wfile.write(b"1\r\n\n\r\n")
            over.wait()

    batch_of(tmp_path, "one.wav", "two.wav")
    (scratch := tmp_path / "tmp").mkdir()
    with stand_in(refuse_one) as url:
        try:
            done = run("transcribe", "one.wav", "two.wav", "--server", url, TMPDIR=str(scratch))
        finally:
            over.set()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == ["error: no more", "0 of 2 done. The same command goes on from there."]
    assert {path.name for path in tmp_path.iterdir()} == {"one.wav", "two.wav", "tmp"}
    assert not list(scratch.iterdir())
