"""Clients that connect and then do nothing, seen from their sockets; the server is uvicorn with our connections."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from asr_core.api.connections import STOP_S, Config, Patience
from asr_core.api.stream import LiveStream
from tests.conftest import wait_until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"all is well"
QUICK = Patience(head_s=0.2, stall_s=0.5, step_bytes=16 * 1024, look_s=0.02)
LARGE = bytes(64 * 2**20)
"""More than the buffers between a server and a client hold."""

Connect = Callable[[], socket.socket]

small: ASGIApp = PlainTextResponse(OK)
large: ASGIApp = PlainTextResponse(LARGE)


@contextmanager
def serving(app: ASGIApp, patience: Patience | None = None) -> Iterator[Connect]:
    """How to connect to a server of `app`, in a thread; the connections are closed with it."""
    server = uvicorn.Server(Config(app, patience=patience, lifespan="off", log_config=None, ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as clients:
        address = listener.getsockname()
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        wait_until(lambda: server.started, "a server")
        try:
            yield lambda: clients.enter_context(socket.create_connection(address, timeout=20))
        finally:
            clients.close()
            server.should_exit = True
            thread.join(20)


def read_to_the_end(client: socket.socket) -> int:
    """Bytes that still come until the server ends the connection."""
    n_bytes = 0
    with suppress(ConnectionError):
        while piece := client.recv(2**20):
            n_bytes += len(piece)
    return n_bytes


def answer(client: socket.socket) -> bytes:
    """What comes for a request, and has been asked for already or is now."""
    received = b""
    while OK not in received:
        piece = client.recv(2**16)
        assert piece, f"closed after {received!r}"
        received += piece
    return received


@pytest.mark.parametrize("sent", [b"", REQUEST[:-2]], ids=["nothing", "half a head"])
def test_a_connection_without_a_request_is_ended(sent: bytes) -> None:
    with serving(small, QUICK) as connect:
        client = connect()
        client.sendall(sent)
        assert read_to_the_end(client) == 0


def test_a_head_that_never_ends_is_not_waited_for() -> None:
    with serving(small, QUICK) as connect:
        client = connect()
        client.sendall(REQUEST[:-2])
        client.settimeout(0.05)
        for number in range(1000):
            try:
                client.sendall(b"x: %d\r\n" % number)
                assert client.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                pass
            return
        pytest.fail("the server goes on reading")


def test_of_too_many_connections_the_longest_idle_make_room_and_work_goes_on() -> None:
    working, done = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        working.set()
        await asyncio.to_thread(done.wait, 20)
        await small(scope, receive, send)

    with serving(app) as connect:
        busy = connect()
        busy.sendall(REQUEST)
        working.wait(20)
        silent = [connect() for _ in range(1500)]
        done.set()
        for client in (connect(), silent[-1]):
            client.sendall(REQUEST)
            assert answer(client)
        assert answer(busy)
        assert read_to_the_end(silent[0]) == 0


def test_a_client_that_does_not_read_what_was_all_handed_over_is_given_up() -> None:
    with serving(large, QUICK) as connect:
        client = connect()
        client.sendall(REQUEST)
        assert client.recv(1)
        wait_until(lambda: is_reset(client), "a connection that was given up")


def is_reset(client: socket.socket) -> bool:
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def test_a_client_that_does_not_read_a_stream_is_given_up_and_the_work_ends() -> None:
    given_up = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stream = LiveStream(send, "text/plain", b"\n")
        async with stream:
            for start in range(0, len(LARGE), 2**19):
                await stream.write(LARGE[start : start + 2**19])
        given_up.set()

    with serving(app, QUICK) as connect:
        client = connect()
        client.sendall(REQUEST)
        assert client.recv(1)
        assert given_up.wait(20)
        assert read_to_the_end(client) < len(LARGE)


def test_a_client_that_reads_slowly_has_everything() -> None:
    """It takes longer than one may that takes nothing."""
    body = LARGE[: 2**24]
    patience = replace(QUICK, stall_s=1.0)
    with serving(PlainTextResponse(body), patience) as connect:
        client = connect()
        # Or the system takes megabytes ahead, and asks for more only when half of them were read.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**15)
        client.sendall(REQUEST)
        begin, n_bytes = time.monotonic(), 0
        while n_bytes < len(body):
            piece = client.recv(2**16)
            assert piece
            n_bytes += len(piece)
            time.sleep(0.01)
        assert time.monotonic() - begin > patience.stall_s


def test_where_nobody_says_how_long_a_server_waits_for_its_clients_it_does_not_wait_for_ever() -> None:
    assert Config(small).timeout_graceful_shutdown == STOP_S
    assert Config(small, timeout_graceful_shutdown=5).timeout_graceful_shutdown == 5
