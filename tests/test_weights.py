"""The download of weights, against a real server on loopback that behaves as badly as networks do."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import random
import shutil
import ssl
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from tenacity import wait_none
from typer.testing import CliRunner

from asr_core.cli import app
from asr_core.errors import CheckpointError, DownloadError, ModelError
from asr_core.model import weights
from asr_core.model.weights import WeightsStore, resolve

CONTENT = random.Random(5).randbytes(3_000_000)
MIDDLE = len(CONTENT) // 2

Answer = Callable[["Request", bytes], None]


class Request(BaseHTTPRequestHandler):
    """Serves `server.files` with ranges, unless the next of `server.answers` does it in its own way."""

    server: Cdn

    @cached_property
    def offset(self) -> int:
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.offset))
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
        else:
            (self.server.answers.popleft() if self.server.answers else properly)(self, body)

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.server.sent += len(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Cdn(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.files = {"/v3_ctc.ckpt": CONTENT}
        self.answers: deque[Answer] = deque()
        self.requests: list[tuple[str, int]] = []
        self.sent = 0
        self.scheme = "http"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of some tests."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"


def properly(request: Request, body: bytes) -> None:
    if request.offset and request.offset >= len(body):
        request.reply(416, b"")
    elif request.offset:
        span = f"bytes {request.offset}-{len(body) - 1}/{len(body)}"
        request.reply(206, body[request.offset :], Content_Range=span)
    else:
        request.reply(200, body)


def breaking_off(after: int) -> Answer:
    """Announces everything and closes the connection `after` that many bytes."""

    def answer(request: Request, body: bytes) -> None:
        rest = body[request.offset :]
        span = f"bytes {request.offset}-{len(body) - 1}/{len(body)}"
        request.reply(206 if request.offset else 200, rest[:after], Content_Length=str(len(rest)), Content_Range=span)

    return answer


def ignoring_ranges(request: Request, body: bytes) -> None:
    request.reply(200, body)


def announcing(length: int) -> Answer:
    return lambda request, body: request.reply(200, body[:length], Content_Length=str(length))


def sending(status: int, body: bytes, **headers: str) -> Answer:
    return lambda request, _: request.reply(status, body, **headers)


@pytest.fixture
def cdn() -> Iterator[Cdn]:
    with Cdn() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def store(cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsStore:
    monkeypatch.setitem(weights.MD5, "v3_ctc", hashlib.md5(CONTENT).hexdigest())
    return WeightsStore(tmp_path / "models", cdn.url, wait=wait_none())


def visible_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[!.]*"))


def test_a_model_is_downloaded_once_with_its_progress_told(store: WeightsStore, cdn: Cdn, tmp_path: Path) -> None:
    reports: list[tuple[str, int, int | None]] = []
    path = store.ensure("v3_ctc", lambda *report: reports.append(report))
    assert path == tmp_path / "models" / "v3_ctc.ckpt" == store.path("v3_ctc")
    assert path.read_bytes() == CONTENT
    assert visible_files(path.parent) == ["v3_ctc.ckpt"]
    assert [name for name, _, _ in reports] == ["v3_ctc.ckpt"] * len(reports)
    assert [done for _, done, _ in reports] == sorted({done for _, done, _ in reports})
    assert reports[-1] == ("v3_ctc.ckpt", len(CONTENT), len(CONTENT))

    store.ensure("v3_ctc")
    assert len(cdn.requests) == 1


def test_a_connection_that_breaks_off_is_resumed_and_nothing_is_sent_twice(store: WeightsStore, cdn: Cdn) -> None:
    cdn.answers.extend([breaking_off(after=400_000)] * 7)  # more often than PATIENCE allows without progress
    assert store.ensure("v3_ctc").read_bytes() == CONTENT
    assert cdn.sent == len(CONTENT)


def test_a_download_that_was_stopped_goes_on_in_the_next_run(store: WeightsStore, cdn: Cdn, tmp_path: Path) -> None:
    def stop(_name: str, done: int, _total: int | None) -> None:
        if done > MIDDLE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.ensure("v3_ctc", stop)
    assert visible_files(tmp_path / "models") == ["v3_ctc.ckpt.part"]
    assert store.ensure("v3_ctc").read_bytes() == CONTENT
    assert cdn.requests[-1][1] > MIDDLE


def test_a_finished_part_that_was_never_renamed_is_not_downloaded_again(store: WeightsStore, cdn: Cdn) -> None:
    part = store.path("v3_ctc").with_name("v3_ctc.ckpt.part")
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    assert store.ensure("v3_ctc").read_bytes() == CONTENT
    assert cdn.sent == 0


@pytest.mark.parametrize("leftover", [b"another version" * 1000, CONTENT + b"more"])
def test_a_leftover_of_another_version_is_given_up_for_a_new_start(
    leftover: bytes, store: WeightsStore, cdn: Cdn
) -> None:
    part = store.path("v3_ctc").with_name("v3_ctc.ckpt.part")
    part.parent.mkdir()
    part.write_bytes(leftover)
    assert store.ensure("v3_ctc").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([breaking_off(after=MIDDLE), ignoring_ranges], id="ignores ranges"),
        pytest.param([breaking_off(after=MIDDLE), sending(206, CONTENT)], id="says 206 without saying of what"),
        pytest.param([announcing(len(CONTENT) + 5)], id="announces more than it has"),
        pytest.param([announcing(len(CONTENT) + 5)] * 9, id="insists on announcing more than it has"),
        pytest.param(
            [sending(503, b"busy"), sending(429, b"slower"), sending(500, b"")], id="is overloaded for a while"
        ),
        pytest.param([breaking_off(after=0)] * 4, id="hangs up at once a few times"),
    ],
)
def test_the_file_arrives_whole_from_a_server_that(answers: list[Answer], store: WeightsStore, cdn: Cdn) -> None:
    cdn.answers.extend(answers)
    assert store.ensure("v3_ctc").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        pytest.param([sending(200, b"not weights" * 1000)], "something else", id="sends another file"),
        pytest.param([announcing(MIDDLE)], "something else", id="announces less than it has"),
        pytest.param([sending(200, b"<html>Please log in", Content_Type="text/html")], "web page", id="wants a login"),
        pytest.param([sending(403, b"")], "403", id="refuses"),
        pytest.param([announcing(5 << 30)], "5120 MiB", id="announces more than any model has"),
        pytest.param([sending(503, b"")] * 9, "503", id="stays overloaded"),
        pytest.param([breaking_off(after=0)] * 9, "connection", id="always hangs up"),
    ],
)
def test_nothing_is_left_and_the_user_is_told_what_to_do_when_the_server(
    answers: list[Answer], complaint: str, store: WeightsStore, cdn: Cdn
) -> None:
    cdn.answers.extend(answers)
    with pytest.raises(DownloadError, match=complaint) as error:
        store.ensure("v3_ctc")
    target = store.path("v3_ctc")
    assert f"put {cdn.url}/v3_ctc.ckpt at {target} yourself" in str(error.value)
    assert not target.exists()
    assert sum(path.stat().st_size for path in target.parent.iterdir()) == 0


@pytest.mark.parametrize("answer", [sending(403, b""), sending(200, b"<html>Log in", Content_Type="text/html")])
def test_what_has_arrived_survives_a_server_that_then_has_nothing_useful_to_say(
    answer: Answer, store: WeightsStore, cdn: Cdn
) -> None:
    cdn.answers.extend([breaking_off(after=MIDDLE), answer])
    with pytest.raises(DownloadError):
        store.ensure("v3_ctc")
    assert store.ensure("v3_ctc").read_bytes() == CONTENT
    assert cdn.requests[-1] == ("/v3_ctc.ckpt", MIDDLE)


def test_without_a_network_the_message_names_the_file_and_its_place(tmp_path: Path) -> None:
    with Cdn() as nobody_answers_here_any_more:
        url = nobody_answers_here_any_more.url
    with pytest.raises(DownloadError) as error:
        WeightsStore(tmp_path, url, wait=wait_none()).ensure("v3_rnnt")
    assert f"put {url}/v3_rnnt.ckpt at {tmp_path / 'v3_rnnt.ckpt'} yourself" in str(error.value)


def test_a_disk_without_room_is_not_filled(
    store: WeightsStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    with pytest.raises(DownloadError, match="0 MiB are free"):
        store.ensure("v3_ctc")
    assert visible_files(tmp_path / "models") == []


def test_a_folder_that_cannot_be_written_is_named(cdn: Cdn, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file, not a folder")
    with pytest.raises(DownloadError, match=r"cannot be written to .*models"):
        WeightsStore(tmp_path / "models", cdn.url).ensure("v3_ctc")


def test_a_write_that_fails_half_way_is_explained(store: WeightsStore, cdn: Cdn, tmp_path: Path) -> None:
    code = """
import resource
from asr_core.errors import DownloadError
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
try:
    store.ensure("v3_ctc")
except DownloadError as error:
    print(error)
"""
    printed = in_another_process(cdn, tmp_path / "models", code).communicate(timeout=60)[0]
    assert "Weights cannot be written" in printed
    assert not store.path("v3_ctc").exists()


def in_another_process(cdn: Cdn, folder: Path, code: str) -> subprocess.Popen[str]:
    """Run `code` with a store like the fixture's."""
    prelude = f"""
from pathlib import Path
from tenacity import wait_none
from asr_core.model import weights
weights.MD5["v3_ctc"] = "{hashlib.md5(CONTENT).hexdigest()}"
store = weights.WeightsStore(Path({str(folder)!r}), "{cdn.url}", wait=wait_none())
"""
    return subprocess.Popen([sys.executable, "-c", prelude + code], stdout=subprocess.PIPE, text=True)


def test_of_two_processes_one_downloads_and_both_have_the_file(store: WeightsStore, cdn: Cdn, tmp_path: Path) -> None:
    def slowly(request: Request, body: bytes) -> None:
        both_ask.wait(timeout=30)
        properly(request, body)

    both_ask = threading.Event()
    cdn.answers.append(slowly)
    code = 'print("asking", flush=True); print(store.ensure("v3_ctc").stat().st_size)'
    processes = [in_another_process(cdn, tmp_path / "models", code) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "asking\n"
    both_ask.set()
    assert [process.communicate(timeout=60)[0] for process in processes] == [f"{len(CONTENT)}\n"] * 2
    assert cdn.requests == [("/v3_ctc.ckpt", 0)]


def test_who_waits_for_another_download_is_told_how_far_it_is_and_can_give_up(
    store: WeightsStore, cdn: Cdn, tmp_path: Path
) -> None:
    def hanging(request: Request, body: bytes) -> None:
        request.reply(200, body[:MIDDLE], Content_Length=str(len(body)))
        given_up.wait(timeout=30)

    def give_up(_name: str, done: int, _total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    given_up = threading.Event()
    cdn.answers.append(hanging)
    code = 'store.ensure("v3_ctc", lambda name, done, total: done and print("arriving", flush=True))'
    process = in_another_process(cdn, tmp_path / "models", code)
    assert process.stdout is not None
    assert process.stdout.readline() == "arriving\n"
    with pytest.raises(KeyboardInterrupt):
        store.ensure("v3_ctc", give_up)
    given_up.set()
    process.communicate(timeout=60)
    assert store.path("v3_ctc").read_bytes() == CONTENT


def test_a_killed_downloader_does_not_block_the_next(store: WeightsStore, cdn: Cdn, tmp_path: Path) -> None:
    def hanging(request: Request, body: bytes) -> None:
        request.reply(200, body[:MIDDLE], Content_Length=str(len(body)))
        killed.wait(timeout=30)

    killed = threading.Event()
    cdn.answers.append(hanging)
    code = 'store.ensure("v3_ctc", lambda name, done, total: done and print("arriving", flush=True))'
    process = in_another_process(cdn, tmp_path / "models", code)
    assert process.stdout is not None
    assert process.stdout.readline() == "arriving\n"
    process.kill()
    process.communicate()
    killed.set()
    assert store.ensure("v3_ctc").read_bytes() == CONTENT
    assert 0 < cdn.requests[-1][1] <= MIDDLE


@pytest.fixture(scope="module")
def tokenizer() -> bytes:
    """A real SentencePiece model, a very small one."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["мама мыла раму"] * 10),
        model_writer=model,
        vocab_size=14,
        hard_vocab_limit=False,
        minloglevel=9,
    )
    return model.getvalue()


def test_a_tokenizer_comes_with_the_models_that_have_one(
    tokenizer: bytes, store: WeightsStore, cdn: Cdn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(weights.MD5, "v3_e2e_ctc", hashlib.md5(CONTENT).hexdigest())
    cdn.files = {"/v3_e2e_ctc.ckpt": CONTENT, "/v3_e2e_ctc_tokenizer.model": tokenizer}
    path = store.ensure("v3_e2e_ctc")
    assert path.read_bytes() == CONTENT
    assert path.with_name("v3_e2e_ctc_tokenizer.model").read_bytes() == tokenizer
    assert store.verify("v3_e2e_ctc") == "whole"


@pytest.mark.parametrize("content", [b"", b"something else entirely"])
def test_what_is_no_tokenizer_is_not_kept_as_one(content: bytes, store: WeightsStore, cdn: Cdn, tmp_path: Path) -> None:
    cdn.files = {"/v3_e2e_ctc_tokenizer.model": content}
    with pytest.raises(DownloadError, match="something else"):
        store.ensure("v3_e2e_ctc")
    assert visible_files(tmp_path / "models") == []


def test_verify_tells_whole_missing_and_damaged_apart(store: WeightsStore) -> None:
    assert store.verify("v3_ctc") == "missing"
    assert not any(store.present().values())
    path = store.ensure("v3_ctc")
    assert store.verify("v3_ctc") == "whole"
    assert [name for name, here in store.present().items() if here] == ["v3_ctc"]
    path.write_bytes(CONTENT[:-1] + b"?")
    assert store.verify("v3_ctc") == "damaged"


def put_by_hand(store: WeightsStore, content: bytes) -> Path:
    path = store.path("v3_ctc")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_put_there_by_hand_is_read_once_and_again_only_when_it_has_changed(
    store: WeightsStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, weights.__name__)
    path = put_by_hand(store, CONTENT)
    assert [store.ensure("v3_ctc") for _ in range(2)] == [path] * 2
    assert caplog.messages == ["Checking v3_ctc.ckpt"]
    put_by_hand(store, CONTENT)
    os.utime(path, ns=(0, 0))
    store.ensure("v3_ctc")
    assert caplog.messages == ["Checking v3_ctc.ckpt"] * 2


@pytest.mark.parametrize("attempt", ["first", "second"])
def test_a_damaged_file_put_there_by_hand_is_refused_and_left(store: WeightsStore, cdn: Cdn, attempt: str) -> None:
    path = put_by_hand(store, damaged := CONTENT[:1000] + bytes(50) + CONTENT[1050:])
    for _ in range(2 if attempt == "second" else 1):
        with pytest.raises(CheckpointError, match=r"v3_ctc\.ckpt is damaged.*Remove it"):
            store.ensure("v3_ctc")
    assert path.read_bytes() == damaged
    path.unlink()
    assert store.ensure("v3_ctc").read_bytes() == CONTENT


def test_what_was_downloaded_is_checked_where_nothing_can_be_remembered(store: WeightsStore) -> None:
    path = put_by_hand(store, CONTENT)
    path.with_name(".v3_ctc.ckpt.md5").mkdir()  # as good as a folder that cannot be written to, also for root
    assert store.ensure("v3_ctc") == path
    put_by_hand(store, CONTENT[:-1])
    with pytest.raises(CheckpointError):
        store.ensure("v3_ctc")


def test_a_redirection_is_followed(store: WeightsStore, cdn: Cdn) -> None:
    cdn.files["/elsewhere"] = CONTENT
    cdn.answers.append(sending(302, b"", Location=f"{cdn.url}/elsewhere"))
    assert store.ensure("v3_ctc").read_bytes() == CONTENT


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_https_is_not_left_for_http(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: WeightsStore
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with Cdn() as secure:
        secure.scheme = "https"
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        secure.answers.append(sending(302, b"", Location=f"{cdn.url}/v3_ctc.ckpt"))
        thread = threading.Thread(target=secure.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with pytest.raises(DownloadError, match="not https"):
                WeightsStore(tmp_path / "models", secure.url, wait=wait_none()).ensure("v3_ctc")
            assert WeightsStore(tmp_path / "models", secure.url).ensure("v3_ctc").read_bytes() == CONTENT
        finally:
            secure.shutdown()
            thread.join()


def test_a_model_is_found_by_what_the_setting_calls_it(tmp_path: Path) -> None:
    store = WeightsStore(tmp_path)
    assert resolve("demo", store).read_bytes()[:2] == b"PK"
    assert resolve("/data/mine.ckpt", store) == Path("/data/mine.ckpt")
    assert resolve("hub/GigaAM-v3", store) == Path("hub/GigaAM-v3")
    with pytest.raises(ModelError, match="v3_e2e_rnnt"):
        resolve("whisper-large", store)


def test_a_mirror_is_asked_instead_and_its_files_are_checked_as_well(
    cdn: Cdn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELS_URL", f"{cdn.url}/mirror/")
    monkeypatch.setenv("MODELS_DIR", str(tmp_path))
    monkeypatch.setitem(weights.MD5, "multilingual_ctc", hashlib.md5(CONTENT).hexdigest())
    pull = ["weights", "pull", "multilingual_ctc"]
    cdn.files["/mirror/multilingual_ctc.ckpt"] = CONTENT[:-1] + b"!"
    refused = CliRunner().invoke(app, pull)
    assert (refused.exit_code, visible_files(tmp_path)) == (1, [])
    assert "is something else" in refused.stderr
    cdn.files["/mirror/multilingual_ctc.ckpt"] = CONTENT
    assert CliRunner().invoke(app, pull).exit_code == 0
    assert (tmp_path / "multilingual_ctc.ckpt").read_bytes() == CONTENT
    assert {path for path, _ in cdn.requests} == {"/mirror/multilingual_ctc.ckpt"}
