"""/docs.json tells what the server does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from asr_core.api.bazarr import Query
from asr_core.api.form import TranscriptionForm
from asr_core.api.native import NativeForm
from asr_core.types import ResponseFormat
from tests.conftest import Server


@pytest.fixture(scope="module")
def paths(server: Server) -> dict[str, Any]:
    described: dict[str, Any] = server.get("/docs.json").json()["paths"]
    return described


def test_every_field_and_parameter_is_described(paths: dict[str, Any]) -> None:
    for path in ("/v1/audio/transcriptions", "/openai/deployments/{deployment}/audio/transcriptions"):
        form = paths[path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert form["properties"].keys() == {"file", *TranscriptionForm.model_fields}
        assert form["required"] == ["file"]
        assert "$ref" not in str(form), "it would point to nothing"
    for path in ("/transcribe", "/transcribe_stream", "/transcribe_task/submit"):
        form = paths[path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert form["properties"].keys() == {"file", *NativeForm.model_fields}
    assert {parameter["name"] for parameter in paths["/asr"]["post"]["parameters"]} == set(Query.model_fields)


REQUESTS = [
    *[("/v1/audio/transcriptions", "file", {"response_format": name}) for name in get_args(ResponseFormat)],
    ("/v1/audio/transcriptions", "file", {"stream": "true"}),
    ("/v1/audio/transcriptions", "file", {"stream": "maybe"}),
    *[(f"/asr?output={name}", "audio_file", {}) for name in ("txt", "srt", "vtt", "tsv", "json", "ass")],
    ("/detect-language", "audio_file", {}),
    ("/transcribe", "file", {}),
    ("/transcribe_stream", "file", {}),
    ("/transcribe_task", "wrong", {}),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_an_answer_is_of_a_kind_that_is_described(
    server: Server, speech: Path, paths: dict[str, Any], request_: tuple[str, str, dict[str, str]]
) -> None:
    target, file_field, form = request_
    answer = httpx.post(server.url + target, files={file_field: speech.read_bytes()}, data=form, timeout=60)
    responses = paths[target.partition("?")[0]]["post"]["responses"]
    described = responses.get(str(answer.status_code), responses["default"])
    assert answer.headers["content-type"].partition(";")[0] in described["content"]


def test_every_route_but_the_page_is_described_by_us_with_its_errors(paths: dict[str, Any]) -> None:
    assert {"/v1/models", "/transcribe_task/submit", "/transcribe_task/status", "/transcribe_task/get"} <= paths.keys()
    for path, operations in paths.items():
        for operation in operations.values():
            assert "system" in operation.get("tags", []) or "default" in operation["responses"], path
            assert "422" not in operation["responses"], "no route answers that"
