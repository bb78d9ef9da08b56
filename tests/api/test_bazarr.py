"""The service as Bazarr's Whisper provider sees it."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import wave
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from asr_core.api.app import create_app
from asr_core.api.auth import KeyRing
from asr_core.api.backend import Backend
from asr_core.api.bazarr import as_bearer, parse_query
from asr_core.api.metrics import Metrics
from asr_core.api.spool import Spool
from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.engine.engine import Engine, EngineStatus
from asr_core.errors import BadRequest
from asr_core.settings import Settings
from tests.conftest import Server


def asr(server: Server, audio: bytes, path: str = "/asr", **query: Any) -> httpx.Response:
    return httpx.post(server.url + path, params=query, files={"audio_file": audio}, timeout=60)


@pytest.fixture(scope="module")
def samples(speech: Path) -> bytes:
    """The demo's recording as Bazarr sends it: 16 kHz mono s16le and nothing else."""
    with wave.open(str(speech)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        frames: bytes = file.readframes(file.getnframes())
        return frames


def test_bare_samples_give_the_same_subtitles_as_the_openai_route(server: Server, speech: Path, samples: bytes) -> None:
    ours = asr(server, samples, task="transcribe", language="ru", output="srt", encode="false", video_file="/a/b.mkv")
    openai = httpx.post(
        f"{server.url}/v1/audio/transcriptions",
        files={"file": speech.read_bytes()},
        data={"response_format": "srt"},
        timeout=60,
    )
    assert ours.status_code == 200
    assert ours.text == openai.text
    assert ours.text.startswith("1\n00:00:00,")


def test_names_in_an_initial_prompt_are_listened_for(server: Server, samples: bytes, spoken_text: str) -> None:
    text = asr(server, samples, encode="false", initial_prompt="Это Больница.").text
    assert text == spoken_text.replace("больница", "Больница")


def test_bare_samples_that_look_like_a_file_are_still_samples(server: Server, samples: bytes) -> None:
    """A beginning that ffmpeg would take for another format, and an odd byte at the end."""
    phrase = samples[: 2 * 16_000 * 2]
    text = asr(server, phrase, encode="false").text
    assert len(text.split()) > 1
    for beginning in (b"ID3\x04", b"OggS"):
        assert asr(server, beginning + phrase + b"\x01", encode="false").text == text


def test_files_are_decoded_unless_they_are_said_to_be_samples(
    server: Server, speech: Path, tmp_path: Path, spoken_text: str
) -> None:
    compressed = tmp_path / "speech.mp3"
    subprocess.run([find_ffmpeg(), "-v", "error", "-i", str(speech), str(compressed)], check=True)
    assert asr(server, speech.read_bytes()).text == spoken_text
    assert asr(server, compressed.read_bytes(), encode="true", output="vtt").text.startswith("WEBVTT\n\n00:00:")


def test_tsv_and_json_hold_the_text_and_its_times(server: Server, samples: bytes, spoken_text: str) -> None:
    header, *rows = asr(server, samples, encode="false", output="tsv").text.splitlines()
    assert header == "start\tend\ttext"
    assert " ".join(row.split("\t")[2] for row in rows) == spoken_text
    whisper = asr(server, samples, encode="false", output="json").json()
    assert (whisper["text"], whisper["language"]) == (spoken_text, "ru")
    assert [f"{segment['start'] * 1000:.0f}" for segment in whisper["segments"]] == [row.split("\t")[0] for row in rows]
    assert "warnings" not in whisper
    assert not any("words" in segment for segment in whisper["segments"])


def test_who_spoke_is_told_where_it_is_asked_for(server: Server, samples: bytes, spoken_text: str) -> None:
    text = asr(server, samples, encode="false", diarize="true").text
    assert [line[:3] for line in text.splitlines()] == ["A: ", "B: "] * 3
    assert " ".join(line[3:] for line in text.splitlines()) == spoken_text
    assert "\nB: " in asr(server, samples, encode="false", output="srt", speakers="2").text
    segments = asr(server, samples, encode="false", output="json", speakers="auto").json()["segments"]
    assert {segment["speaker"] for segment in segments} == {"A", "B"}
    assert asr(server, samples, encode="false", channels="split").text == spoken_text


def test_words_are_inside_their_segments_when_they_are_asked_for(server: Server, samples: bytes) -> None:
    whisper = asr(server, samples, encode="false", output="json", word_timestamps="true").json()
    for segment in whisper["segments"]:
        assert " ".join(word["word"] for word in segment["words"]) == segment["text"]
        assert segment["start"] <= segment["words"][0]["start"] <= segment["words"][-1]["end"] <= segment["end"]


def test_the_language_is_always_russian(server: Server, samples: bytes) -> None:
    answer = asr(server, samples, "/detect-language", encode="false").json()
    assert (answer["detected_language"], answer["language_code"]) == ("russian", "ru")


@pytest.mark.parametrize("language", ["ru", "RU", "Russian", "russian", "auto", "", "null"])
def test_parameters_may_be_spelled_in_any_way(language: str) -> None:
    query = parse_query({"language": language, "task": "Transcribe", "output": "SRT", "encode": "False"})
    assert (query.task, query.output, query.encode) == ("transcribe", "srt", False)


def test_subtitles_are_laid_out_as_the_query_asks_for(server: Server, samples: bytes) -> None:
    lines = asr(server, samples, encode="false", output="vtt", max_line_width=20, max_line_count=1).text.splitlines()
    said = [line for line in lines if line and "-->" not in line and line != "WEBVTT"]
    assert max(map(len, said)) <= 20
    assert len(said) == sum("-->" in line for line in lines)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"task": "translate"}, "task"),
        ({"language": "en"}, "language"),
        ({"output": "ass"}, "output"),
        ({"max_line_width": "3"}, "max_line_width"),
        ({"channels": "both"}, "channels"),
        ({"speakers": "many"}, "speakers"),
    ],
)
def test_what_cannot_be_done_is_refused_rather_than_saved_as_subtitles(query: dict[str, str], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_query(query)
    assert refused.value.param == param


def test_a_refusal_is_an_error_answer(server: Server, samples: bytes) -> None:
    answer = asr(server, samples, task="translate", language="ru", output="srt", encode="false")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "task")


def test_no_samples_at_all_are_a_bad_recording(server: Server) -> None:
    answer = asr(server, b"", encode="false")
    assert answer.status_code == 400
    assert "no sound" in answer.json()["error"]["message"]


def test_the_recording_is_looked_for_where_the_dialect_has_it(server: Server, samples: bytes) -> None:
    answer = httpx.post(f"{server.url}/asr", files={"file": samples}, timeout=60)
    assert answer.status_code == 400
    assert "`audio_file`" in answer.json()["error"]["message"]


def test_nothing_is_left_behind(server: Server, samples: bytes) -> None:
    asr(server, samples, encode="false")
    asr(server, samples, "/detect-language", encode="false")
    server.wait_until_clean()


def locked_app(spool: Spool) -> FastAPI:
    """The application with a key, over an engine that is ready and never needed."""
    engine = cast(Engine, SimpleNamespace(status=EngineStatus("demo", ready=True)))
    settings = Settings(_env_file=None, api_key=(SecretStr("open-sesame"),))
    app = create_app()
    app.state.backend = Backend(settings, engine, Metrics(CollectorRegistry()), KeyRing(settings.api_key), spool, 0)
    return app


@pytest.mark.parametrize(("userinfo", "status"), [("", 401), ("open-sesame:wrong@", 401), ("any:open-sesame@", 200)])
def test_the_key_can_be_part_of_the_url(userinfo: str, status: int, tmp_path: Path) -> None:
    """Bazarr has no field for a key."""

    async def request() -> httpx.Response:
        with closing(Spool(tmp_path, max_files=1, max_bytes=1 << 20)) as spool:
            client = httpx.AsyncClient(transport=httpx.ASGITransport(locked_app(spool)))
            return await client.post(f"http://{userinfo}server/detect-language", files={"audio_file": b"samples"})

    assert asyncio.run(request()).status_code == status


@pytest.mark.parametrize("header", ["Basic", "Basic %%%", "Basic a", "Basic ÿ"])
def test_broken_basic_credentials_hold_no_key(header: str) -> None:
    assert as_bearer(header) in (None, "Bearer ")


def test_basic_credentials_keep_every_character_of_the_key() -> None:
    credentials = base64.b64encode("bazarr:a:b ключ".encode()).decode()
    bearer = as_bearer(f"basic {credentials}")
    assert bearer is not None
    assert bearer.encode("latin-1") == "Bearer a:b ключ".encode()
    assert as_bearer("Bearer k") == "Bearer k"
    assert as_bearer(None) is None
