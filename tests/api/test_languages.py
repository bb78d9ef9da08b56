"""Languages in answers."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.api.inside import asked, transcription, write_kazakh


@pytest.fixture(scope="module")
def kazakh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_kazakh(tmp_path_factory.mktemp("kazakh"))


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
