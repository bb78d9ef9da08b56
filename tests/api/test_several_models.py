"""Several models in one server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from asr_core.settings import Settings
from tests.api.inside import asked, transcription, write_kazakh


def test_a_request_chooses_its_model_and_the_first_is_the_default(
    speech: Path, spoken_text: str, tmp_path: Path
) -> None:
    recording = speech.read_bytes()
    names = ["demo", "kazakh", "whisper-1", "", "kazakh", "demo"]

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        requests = [
            transcription(client, recording, response_format="verbose_json", language="kk", model=name)
            for name in names
        ]
        unknown = transcription(client, recording, model="v3_ctc")
        return [await client.get("/v1/models"), await client.get("/health"), *await asyncio.gather(*requests, unknown)]

    models, health, *answers, unknown = asked(f"demo,{write_kazakh(tmp_path)}", tmp_path, ask)
    assert {"demo", "kazakh", "whisper-1"} <= {model["id"] for model in models.json()["data"]}
    assert (health.json()["model"], health.json()["models"]) == ("demo", ["demo", "kazakh"])
    for name, answer in zip(names, answers, strict=True):
        heard = answer.json()
        in_kazakh = name == "kazakh"
        assert heard["language"] == ("kazakh" if in_kazakh else "russian")
        assert heard["text"].replace("ә", "а").replace("і", "и") == spoken_text
        assert ("ә" in heard["text"]) == in_kazakh
        assert ("warnings" in heard) != in_kazakh, "only a model of Russian cannot do what language=kk asks for"
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "model")


def test_who_may_ask_for_what() -> None:
    def settings(**changes: object) -> Settings:
        return Settings.model_validate({"model": "v3_ctc, models/mine.ckpt,hub/e2e", "model_aliases": "a", **changes})

    everything = settings()
    assert everything.model_names == ("v3_ctc", "mine", "e2e")
    assert everything.served_models == ("e2e", "mine", "v3_ctc", "a")
    assert [everything.called(name) for name in ("mine", "a", "", "v3_ctc", "other")] == [
        *("mine", "v3_ctc", "v3_ctc", "v3_ctc", "v3_ctc")
    ]
    some = settings(allowed_models="mine")
    assert some.served_models == ("mine", "a")
    assert some.called("e2e") == "v3_ctc"
    assert everything.alone.models == ("v3_ctc",)


@pytest.mark.parametrize("models", ["demo,", "demo,nonsense", "demo,a/demo.ckpt", ",demo"])
def test_models_that_are_none_or_have_the_same_name_are_refused(models: str) -> None:
    with pytest.raises(ValueError, match="takes"):
        Settings.model_validate({"model": models})
