"""Languages in answers: the bundled model, some of whose letters are called by Kazakh ones: it writes in Kazakh."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
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


@pytest.fixture(scope="module")
def kazakh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    document = torch.load(DEMO, weights_only=False)
    letters = list(document["cfg"]["decoding"]["vocabulary"])
    document["cfg"]["decoding"]["vocabulary"] = ["".join({"а": "ә", "и": "і"}.get(c, c) for c in x) for x in letters]
    path = tmp_path_factory.mktemp("kazakh") / "kazakh.ckpt"
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


async def bazarr(client: httpx.AsyncClient, recording: bytes, path: str, **query: str) -> httpx.Response:
    return await client.post(path, params=query, files={"audio_file": recording})


def test_a_model_of_several_languages_says_in_every_answer_which_it_heard(
    kazakh: Path, speech: Path, tmp_path: Path
) -> None:
    recording = speech.read_bytes()

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [
            await transcription(client, recording, response_format="verbose_json", language="kk"),
            await transcription(client, recording, languages="kk,fr"),
            await transcription(client, recording, stream="true", language="fr"),
            await bazarr(client, recording, "/asr", language="Kazakh", output="json"),
            await bazarr(client, recording, "/asr", output="json"),
            await bazarr(client, recording, "/detect-language"),
            await bazarr(client, recording, "/asr", language="fr"),
        ]

    verbose, plain, streamed, named, unnamed, detected, refused = asked(str(kazakh), tmp_path, ask)
    assert (verbose.json()["language"], verbose.json()["languages"]) == ("kazakh", [{"code": "kk"}])
    assert "warnings" not in verbose.json()
    assert plain.json()["languages"] == [{"code": "kk"}]
    done = next(json.loads(line[6:]) for line in streamed.text.splitlines() if '"transcript.text.done"' in line[6:])
    assert done["languages"] == [{"code": "kk"}]
    assert "Russian, Kazakh, Kyrgyz, Uzbek, English only; 'fr'" in done["warnings"][0]
    assert named.json()["language"] == unnamed.json()["language"] == "kk"
    assert detected.json() == {"detected_language": "kazakh", "language_code": "kk", "confidence": 1.0}
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "language")


def test_a_model_of_russian_says_what_it_always_said(speech: Path, tmp_path: Path) -> None:
    recording = speech.read_bytes()

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [
            await transcription(client, recording, response_format="verbose_json"),
            await transcription(client, recording),
            await bazarr(client, recording, "/asr", language="kk"),
        ]

    verbose, plain, refused = asked("demo", tmp_path, ask)
    assert verbose.json()["language"] == "russian"
    assert "languages" not in verbose.json().keys() | plain.json().keys()
    assert refused.status_code == 400
