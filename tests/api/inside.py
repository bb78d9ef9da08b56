"""A server inside the test's own process, with whatever models the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import torch
from prometheus_client import CollectorRegistry

from asr_core.api.app import create_app
from asr_core.api.auth import KeyRing
from asr_core.api.backend import Backend
from asr_core.api.metrics import Metrics
from asr_core.api.spool import Spool
from asr_core.engine.engine import Engine
from asr_core.model.weights import DEMO
from asr_core.settings import Settings

Ask = Callable[[httpx.AsyncClient], Awaitable[Any]]


def write_kazakh(folder: Path) -> Path:
    """The bundled model, some of whose letters are called by Kazakh ones: it writes in Kazakh."""
    document = torch.load(DEMO, weights_only=False)
    letters = list(document["cfg"]["decoding"]["vocabulary"])
    document["cfg"]["decoding"]["vocabulary"] = ["".join({"а": "ә", "и": "і"}.get(c, c) for c in x) for x in letters]
    path = folder / "kazakh.ckpt"
    torch.save(document, path)
    return path


def asked(model: str, folder: Path, ask: Ask) -> Any:
    """What `ask` gets from a server with `model`."""

    async def run() -> Any:
        settings = Settings(_env_file=None, model=model, precision="fp32", num_threads=1)
        engine, app = Engine(settings), create_app()
        await engine.start()
        try:
            await engine.ready()
            with closing(Spool(folder, max_files=9, max_bytes=1 << 24)) as spool:
                metrics = Metrics(CollectorRegistry())
                app.state.backend = Backend(settings, engine, metrics, KeyRing(()), spool, 0)
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=transport, base_url="http://server", timeout=60) as client:
                    return await ask(client)
        finally:
            await engine.stop()

    return asyncio.run(run())


async def transcription(client: httpx.AsyncClient, recording: bytes, **fields: str) -> httpx.Response:
    return await client.post("/v1/audio/transcriptions", data=fields, files={"file": recording})
