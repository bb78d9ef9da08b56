"""Every request is answered, under an id."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr_core.api import guard
from asr_core.api.guard import MAX_DRAINED, Guard
from asr_core.errors import BadAudio, QueueFull, StorageFull
from asr_core.logs import subject


async def ours(request: Any) -> Response:
    return PlainTextResponse(f"ours {subject.get()}")


OURS = Starlette(routes=[Route("/shared", ours), Route("/below/shared", ours)])


def call(bentoml: ASGIApp, path: str = "/schema.json", *, method: str = "GET", **kwargs: Any) -> httpx.Response:
    """The answer of a guarded application, below BentoML's own timeout layer as in the server."""
    app = TimeoutMiddleware(Guard(bentoml, ours=OURS), timeout=86_400)

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport) as client:
            return await asyncio.wait_for(client.request(method, f"http://x{path}", **kwargs), 10)

    return asyncio.run(request())


def raising(exc: BaseException) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise exc

    return app


theirs: ASGIApp = PlainTextResponse("theirs")


@pytest.mark.parametrize(
    ("exc", "status"),
    [
        (RuntimeError("boom"), 500),
        (QueueFull(2), 503),
        (ExceptionGroup("several", [ValueError()]), 500),
    ],
)
def test_an_exception_before_the_response_is_answered_at_once(exc: Exception, status: int) -> None:
    response = call(raising(exc), headers={"Origin": "http://elsewhere"})
    assert response.status_code == status
    assert response.json()["error"]["message"]
    assert response.headers["x-request-id"]
    assert response.headers["access-control-allow-origin"] == "*", "or a page cannot read what went wrong"


def test_bentoml_answers_what_is_bentomls_and_nothing_else() -> None:
    assert call(theirs, "/shared").text.startswith("ours")
    assert call(theirs, "/schema.json").text == "theirs"
    assert call(theirs, "/nobodys").status_code == 404


@pytest.mark.parametrize("path", ["/shared/", "/shared//", "//shared", "/below//shared", "/below/shared/"])
def test_slashes_too_many_do_not_matter(path: str) -> None:
    assert call(theirs, path).text.startswith("ours")


def test_a_page_of_the_internet_may_ask_a_server_in_its_readers_network() -> None:
    asked = {
        "Origin": "https://elsewhere",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    preflight = call(theirs, "/shared", method="OPTIONS", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-private-network"] == "true"


def test_the_id_that_a_client_gives_is_kept_and_known_to_the_log() -> None:
    response = call(theirs, "/shared", headers={"x-request-id": "abc-1"})
    assert (response.headers["x-request-id"], response.text) == ("abc-1", "ours abc-1")


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", "<script>"])
def test_an_id_that_could_do_harm_is_replaced(given: str) -> None:
    assert call(theirs, headers={"x-request-id": given}).headers["x-request-id"] not in ("", given)


def test_a_request_is_logged_in_one_line_whatever_its_path(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, guard.__name__):
        call(theirs, "/a%0d%0aINFO fake")
    (record,) = caplog.records
    assert "/a%0d%0aINFO%20fake → 404" in record.getMessage().replace("%0D%0A", "%0d%0a")


def test_probes_are_not_worth_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, guard.__name__):
        call(theirs, "/readyz")
    assert not caplog.records


def refused_in_the_middle(guard: Guard, left: asyncio.Event) -> tuple[Coroutine[Any, Any, None], list[Message]]:
    """A request whose body never ends, and what is sent to its client."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    headers = [(b"content-length", b"1000")]
    scope = {"type": "http", "method": "POST", "path": "/shared", "raw_path": b"/shared", "headers": headers}
    return guard(scope, receive, send), sent


def test_clients_that_go_on_sending_after_a_refusal_are_cut_after_a_while_or_at_once_if_they_are_many() -> None:
    async def scenario() -> None:
        guard, left = Guard(theirs, ours=OURS, drain_s=0.3), asyncio.Event()
        exchanges = [refused_in_the_middle(guard, left) for _ in range(MAX_DRAINED + 1)]
        *patient, last = [asyncio.create_task(exchange) for exchange, _ in exchanges]
        done, _ = await asyncio.wait([*patient, last], return_when=asyncio.FIRST_COMPLETED)
        assert done == {last}
        await asyncio.wait_for(asyncio.gather(*patient), 10)
        for _, sent in exchanges:
            assert (sent[0]["status"], dict(sent[0]["headers"])[b"connection"]) == (405, b"close")
            assert sent[-1]["more_body"] is False

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("failure", "level", "why"),
    [
        (QueueFull(3), "INFO", "503 in .* s: queue_full: The server has 3 recordings in hand"),
        (BadAudio("A\nB\u2028C"), "INFO", "400 in .* s: invalid_request_error: A B C$"),
        (StorageFull("No room."), "ERROR", "507 in .* s: storage_full: No room.$"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_log_says_in_one_line_why_a_request_failed(
    failure: Exception, level: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "asr_core"):
        call(raising(failure))
    (record,) = [record for record in caplog.records if record.name.startswith("asr_core")]
    assert record.levelname == level
    assert re.search(why, record.getMessage())
