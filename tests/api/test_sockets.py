"""Clients that misbehave, byte by byte."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import Server, wait_until

BOUNDARY = "b0undary"
MIB = 2**20


def form(recording: bytes, **fields: str) -> bytes:
    text = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return "".join(text).encode() + head.encode() + recording + f"\r\n--{BOUNDARY}--\r\n".encode()


def head(*headers: str, path: str = "/v1/audio/transcriptions") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: multipart/form-data; boundary={BOUNDARY}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def request(body: bytes, path: str = "/v1/audio/transcriptions") -> bytes:
    return head(f"Content-Length: {len(body)}", path=path) + body


@contextlib.contextmanager
def connection(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connected:
        yield connected


def read_response(connected: socket.socket) -> tuple[int, bytes]:
    """Status and body of a response that has a length."""
    with connected.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, stream.read(length)


def read_until(connected: socket.socket, mark: bytes) -> bytes:
    received = b""
    while mark not in received:
        piece = connected.recv(65_536)
        assert piece, f"closed after {received!r}"
        received += piece
    return received


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in [*pieces, b""])


def test_a_chunked_body_without_a_length_is_transcribed(server: Server, speech: Path, spoken_text: str) -> None:
    with connection(server) as connected:
        connected.sendall(head("Transfer-Encoding: chunked") + chunked(form(speech.read_bytes()), 10_000))
        status, body = read_response(connected)
    assert (status, json.loads(body)["text"]) == (200, spoken_text)


def test_a_body_that_trickles_in_is_transcribed(server: Server, speech: Path, spoken_text: str) -> None:
    whole = request(form(speech.read_bytes()))
    with connection(server) as connected:
        for start in range(0, 200):
            connected.sendall(whole[start : start + 1])
        for start in range(200, len(whole), len(whole) // 20):
            connected.sendall(whole[start : start + len(whole) // 20])
            time.sleep(0.01)
        status, body = read_response(connected)
    assert (status, json.loads(body)["text"]) == (200, spoken_text)


def test_one_connection_serves_request_after_request_also_after_a_refusal(server: Server, speech: Path) -> None:
    with connection(server) as connected:
        for body, expected in [(form(b"noise"), 400), (form(speech.read_bytes()), 200), (b"garbage", 400)]:
            connected.sendall(request(body))
            assert read_response(connected)[0] == expected


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(form(b"sound")[:-12], id="cut short, with an honest length"),
        pytest.param(b"\0" * 1000, id="garbage"),
        pytest.param(form(b"sound").replace(b"form-data", b"attachment"), id="no form"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_malformed_body_is_refused_and_leaves_nothing(server: Server, body: bytes) -> None:
    with connection(server) as connected:
        connected.sendall(request(body))
        status, answer = read_response(connected)
    assert (status, json.loads(answer)["error"]["type"]) == (400, "invalid_request_error")
    server.wait_until_clean()


def test_a_refusal_reaches_a_client_that_goes_on_sending(server: Server) -> None:
    """The answer is there to be read before, and still there after, the client has sent all that it had."""
    with connection(server) as connected:
        connected.sendall(head(f"Content-Length: {20 * MIB}") + b"garbage")
        for _ in range(20):
            connected.sendall(b"g" * (MIB - 1))
        status, answer = read_response(connected)
    assert status == 400
    assert json.loads(answer)["error"]["message"].startswith("The multipart body is malformed")


def leave_in_the_middle_of_the_body(server: Server, connected: socket.socket, recording: Path) -> None:
    connected.sendall(head(f"Content-Length: {10 * MIB}") + form(b"s" * 4 * MIB)[: 3 * MIB])
    wait_until(lambda: bool(server.leftovers), "an upload under way")


def leave_after_promising_more_than_was_sent(server: Server, connected: socket.socket, recording: Path) -> None:
    body = form(b"sound")
    connected.sendall(head(f"Content-Length: {len(body) + 1}") + body)
    wait_until(lambda: bool(server.leftovers), "an upload under way")


def leave_while_the_answer_is_awaited(server: Server, connected: socket.socket, recording: Path) -> None:
    connected.sendall(request(form(recording.read_bytes())))
    wait_until(lambda: "ffmpeg" in server.leftovers, "a recording being decoded")


def leave_in_the_middle_of_the_stream(server: Server, connected: socket.socket, recording: Path) -> None:
    connected.sendall(request(form(recording.read_bytes(), stream="true")))
    read_until(connected, b"transcript.text.delta")


def leave_in_the_middle_of_the_lines(server: Server, connected: socket.socket, recording: Path) -> None:
    connected.sendall(request(form(recording.read_bytes()), path="/transcribe_stream"))
    read_until(connected, b'"type": "segment"')


def leave_while_bentomls_client_waits(server: Server, connected: socket.socket, recording: Path) -> None:
    connected.sendall(request(form(recording.read_bytes()), path="/transcribe"))
    wait_until(lambda: "ffmpeg" in server.leftovers, "a recording being decoded")


@pytest.mark.parametrize(
    ("leave", "reset"),
    [
        (leave_in_the_middle_of_the_body, False),
        (leave_in_the_middle_of_the_body, True),
        (leave_after_promising_more_than_was_sent, False),
        (leave_while_the_answer_is_awaited, False),
        (leave_while_the_answer_is_awaited, True),
        (leave_in_the_middle_of_the_stream, False),
        (leave_in_the_middle_of_the_stream, True),
        (leave_in_the_middle_of_the_lines, False),
        (leave_while_bentomls_client_waits, False),
    ],
)
def test_a_client_that_leaves_takes_everything_with_it(
    server: Server,
    long_recording: Path,
    leave: Callable[[Server, socket.socket, Path], None],
    reset: bool,
) -> None:
    done = server.metric('asr_jobs_total{outcome="done"}')
    with connection(server) as connected:
        leave(server, connected, long_recording)
        assert server.leftovers
        if reset:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    server.wait_until_clean()
    assert server.metric('asr_jobs_total{outcome="done"}') == done


def test_when_all_slots_are_taken_a_request_is_sent_away_and_when_one_is_free_it_is_not(
    server: Server, long_recording: Path, speech: Path, spoken_text: str
) -> None:
    with contextlib.ExitStack() as others:
        for _ in range(2):
            leave_in_the_middle_of_the_stream(server, others.enter_context(connection(server)), long_recording)
        for fields in ({}, {"stream": "true"}):
            refused = post(server, speech, fields)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "queue_full")
            assert refused.headers["retry-after"].isdecimal()
            assert refused.headers["x-should-retry"] == "true"
    server.wait_until_clean()
    assert post(server, speech, {}).json()["text"] == spoken_text


def test_a_short_recording_is_answered_while_a_long_one_is_worked_on(
    server: Server, long_recording: Path, speech: Path, spoken_text: str
) -> None:
    with connection(server) as long:
        leave_in_the_middle_of_the_stream(server, long, long_recording)
        assert post(server, speech, {}).json()["text"] == spoken_text
        assert "slot" in server.leftovers
    server.wait_until_clean()


def post(server: Server, recording: Path, fields: dict[str, str]) -> httpx.Response:
    with recording.open("rb") as file:
        return httpx.post(f"{server.url}/v1/audio/transcriptions", files={"file": file}, data=fields, timeout=60)
