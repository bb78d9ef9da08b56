"""Work for a client ends when the client has gone."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from asr_core.api.answer import run_until_disconnect
from asr_core.errors import BadAudio


class Client:
    """The receiving end of a request whose body is read."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}


def test_the_result_of_the_work_is_returned() -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    async def scenario() -> None:
        assert await run_until_disconnect(work(), Client().receive) == "done"

    asyncio.run(scenario())


def test_an_error_of_the_work_is_raised_as_it_is() -> None:
    async def work() -> None:
        raise BadAudio("empty")

    async def scenario() -> None:
        with pytest.raises(BadAudio):
            await run_until_disconnect(work(), Client().receive)

    asyncio.run(scenario())


def test_when_the_client_leaves_the_work_is_cancelled_and_has_cleaned_up() -> None:
    async def scenario() -> None:
        client = Client()
        cleaned = False

        async def work() -> None:
            nonlocal cleaned
            try:
                client.gone.set()
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                cleaned = True

        with pytest.raises(ClientDisconnect):
            await run_until_disconnect(work(), client.receive)
        assert cleaned

    asyncio.run(scenario())


def test_when_the_server_stops_the_work_is_cancelled_and_has_cleaned_up() -> None:
    async def scenario() -> None:
        started, cleaned = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                cleaned.set()

        request = asyncio.create_task(run_until_disconnect(work(), Client().receive))
        await started.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert cleaned.is_set()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())
