"""What a batch makes of a server that misbehaves, which ours does not do on demand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from asr_core.cli import remote
from asr_core.cli.batch import NoServer, run_batch
from asr_core.cli.output import FileSink
from asr_core.cli.plan import BatchItem
from asr_core.cli.progress import Report
from asr_core.text.formats import RenderOptions
from tests.cli.conftest import Run
from tests.conftest import Server

# Raised by libraries that bentoml uses, when its client is first imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Answer = Callable[["Handler", bytes], None]
"""Answers the recording whose request has this body."""

DONE = b'{"type": "done", "duration": 1.0}\n'


class Handler(BaseHTTPRequestHandler):
    """Says what a server of ours says to whoever asks what it is."""

    schema: bytes
    answer: Answer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.say(200, {"/health": b'{"model": "stand-in"}', "/schema.json": self.schema}.get(self.path, b"{}"))

    def do_POST(self) -> None:
        type(self).answer(self, self.rfile.read(int(self.headers["Content-Length"])))

    def say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def stand_in(server: Server, answer: Answer) -> Iterator[str]:
    """The address of a server with the routes of `server` and these answers."""
    attributes = {"schema": server.get("/schema.json").content, "answer": staticmethod(answer)}
    listener = ThreadingHTTPServer(("127.0.0.1", 0), type("Chosen", (Handler,), attributes))
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


async def transcribe(tasks: list[BatchItem], url: str, report: Report) -> None:
    async with remote.remote_transcriber(url, "", say=lambda _: None) as transcriber:
        await run_batch(tasks, transcriber, FileSink(RenderOptions()), report)


def break_off_bad_ones(request: Handler, body: bytes) -> None:
    if b"bad" not in body:
        request.say(200, DONE)


def test_a_recording_that_never_gets_through_does_not_stop_the_others(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PATIENCE_S", 0.0)
    monkeypatch.setattr(remote.RemoteTranscriber, "parallel", 1)
    tasks = batch_of(tmp_path, "bad.wav", "good.wav")
    report = Report(len(tasks))
    with stand_in(server, break_off_bad_ones) as url:
        asyncio.run(transcribe(tasks, url, report))
    (failure,) = report.failures
    assert (failure.label, "cannot be reached" in failure.reason) == ("bad.wav", True)
    assert (tmp_path / "good.wav.txt").exists()


def test_a_server_that_is_gone_stops_the_batch(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE_S", 0.0)
    tasks = batch_of(tmp_path, "bad.wav")
    report = Report(len(tasks))

    async def lose_the_server() -> None:
        with stand_in(server, break_off_bad_ones) as url:
            scope = remote.remote_transcriber(url, "", say=lambda _: None)
            transcriber = await scope.__aenter__()
        try:
            await run_batch(tasks, transcriber, FileSink(RenderOptions()), report)
        finally:
            await scope.__aexit__(None, None, None)

    with pytest.raises(NoServer, match="There is no gigaam-asr server at"):
        asyncio.run(lose_the_server())
    assert not report.failures


def test_what_is_hopeless_for_all_ends_the_program_while_others_are_still_being_answered(
    run: Run, tmp_path: Path, server: Server
) -> None:
    both_are_here, over = threading.Barrier(2), threading.Event()

    def refuse_one(request: Handler, body: bytes) -> None:
        both_are_here.wait(60)
        if b"one" in body:
            request.say(401, b'{"error": {"message": "no more"}}')
        else:
            request.send_response(200)
            request.end_headers()
            request.wfile.write(b"\n")
            over.wait()

    batch_of(tmp_path, "one.wav", "two.wav")
    (scratch := tmp_path / "tmp").mkdir()
    with stand_in(server, refuse_one) as url:
        try:
            done = run("transcribe", "one.wav", "two.wav", "--server", url, TMPDIR=str(scratch))
        finally:
            over.set()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: no more"
    assert {path.name for path in tmp_path.iterdir()} == {"one.wav", "two.wav", "tmp"}
    assert not list(scratch.iterdir())
