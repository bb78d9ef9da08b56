"""WebSockets whose clients read nothing."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any

import uvicorn
from websockets.asyncio.client import connect

from asr_core.api.connections import Config
from asr_core.api.sockets import LiveConnection

PIECE = "x" * 100_000


def test_a_client_that_takes_nothing_is_cut_and_one_that_reads_is_not() -> None:
    ended: list[str] = []

    async def flood(scope: Any, receive: Any, send: Any) -> None:
        """Sends without end, if the path says so; else a little, and waits."""
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        try:
            await send({"type": "websocket.send", "text": PIECE})
            while scope["path"] == "/flood":
                await send({"type": "websocket.send", "text": PIECE})
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            ended.append(scope["path"])

    async def scenario() -> None:
        config = Config(flood, lifespan="off", log_level="critical")
        config.ws = partial(LiveConnection, stall_s=1.0, look_s=0.1)  # type: ignore[assignment]  # makes a protocol
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            async with connect(f"ws://127.0.0.1:{port}/quiet", open_timeout=None) as quiet:
                assert await quiet.recv() == PIECE
                stalled = await connect(
                    f"ws://127.0.0.1:{port}/flood", max_queue=1, close_timeout=0.1, open_timeout=None
                )
                async with asyncio.timeout(60):
                    while "/flood" not in ended:
                        await asyncio.sleep(0.05)
                assert ended == ["/flood"]
                stalled.transport.abort()
            server.should_exit = True
            await serving

    asyncio.run(scenario())
