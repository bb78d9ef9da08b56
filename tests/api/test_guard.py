"""Every request is answered, under an id."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr_core.api import guard
from asr_core.api.guard import Guard
from asr_core.errors import QueueFull
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


def test_a_client_that_stops_reading_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "STALL_S", 0.05)
    left = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        finally:
            left.set()

    async def scenario() -> None:
        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {"type": "http", "method": "GET", "path": "/livez", "raw_path": b"/livez", "headers": []}
        await asyncio.wait_for(Guard(endless, ours=OURS)(scope, receive, send), 10)
        assert left.is_set()

    asyncio.run(scenario())
