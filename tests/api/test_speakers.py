"""Who spoke, as clients are told."""

from __future__ import annotations

import base64
import json
import wave
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openai import OpenAI

from asr_core.types import SAMPLE_RATE
from tests.conftest import Server
from tests.engine.engines import read


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as connected:
        yield connected


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    """The left side says the demo's words, then the right one; each hears the other at -20 dB."""
    said = read(speech).astype(np.float64)
    silence = np.zeros(len(said) + SAMPLE_RATE)
    left, right = np.concatenate((said, silence)), np.concatenate((silence, said))
    pcm = np.stack((left + 0.1 * np.roll(right, 80), right + 0.1 * np.roll(left, 80)), axis=1)
    path = tmp_path_factory.mktemp("call") / "call.wav"
    with wave.open(str(path), "wb") as recording:
        recording.setparams((2, 2, SAMPLE_RATE, 0, "NONE", ""))
        recording.writeframes(pcm.clip(-32768, 32767).astype("<i2").tobytes())
    return path


def test_each_side_of_a_call_says_its_words_and_nobody_else_does(client: OpenAI, call: Path, spoken_text: str) -> None:
    answer = client.audio.transcriptions.create(file=call, model="demo", response_format="diarized_json")
    for speaker in ("A", "B"):
        assert " ".join(segment.text for segment in answer.segments if segment.speaker == speaker) == spoken_text
    assert answer.text == f"{spoken_text} {spoken_text}"
    assert answer.duration >= answer.segments[-1].end
    assert len({segment.id for segment in answer.segments}) == len(answer.segments)


def test_the_stream_has_the_same_segments(client: OpenAI, call: Path) -> None:
    whole = client.audio.transcriptions.create(file=call, model="demo", response_format="diarized_json")
    stream = client.audio.transcriptions.create(file=call, model="demo", response_format="diarized_json", stream=True)
    *segments, done = list(stream)
    assert [event.to_dict() for event in segments] == [segment.to_dict() for segment in whole.segments]
    assert done.to_dict() == {"type": "transcript.text.done", "text": whole.text}


def ask(server: Server, recording: Path, path: str = "/v1/audio/transcriptions", **form: Any) -> httpx.Response:
    with recording.open("rb") as file:
        return httpx.post(server.url + path, files={"file": file}, data=form, timeout=120)


def test_other_formats_tell_who_spoke_where_that_was_asked(server: Server, call: Path) -> None:
    srt = ask(server, call, response_format="srt", channels="split").text
    vtt = ask(server, call, response_format="vtt", channels="auto").text
    assert all(mark in srt for mark in ("\nA: ", "\nB: "))
    assert all(mark in vtt for mark in ("\n<v A>", "\n<v B>"))
    verbose = ask(server, call, response_format="verbose_json", channels="split").json()
    assert {segment["speaker"] for segment in verbose["segments"]} == {"A", "B"}
    native = ask(server, call, "/transcribe", channels="split").json()
    assert [segment["speaker"] for segment in native["segments"]] == [
        segment["speaker"] for segment in verbose["segments"]
    ]


def test_where_nobody_asked_nothing_is_told(server: Server, call: Path, speech: Path) -> None:
    assert "A: " not in ask(server, call, response_format="srt").text
    for recording, channels in ((call, "mix"), (speech, "split"), (speech, "auto")):
        verbose = ask(server, recording, response_format="verbose_json", channels=channels).json()
        assert not any("speaker" in segment for segment in verbose["segments"])


def test_channels_are_one_of_three(server: Server, speech: Path) -> None:
    for path in ("/v1/audio/transcriptions", "/transcribe"):
        refused = ask(server, speech, path, channels="both")
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "channels")


def wav(path: Path, pcm: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as recording:
        recording.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        recording.writeframes(pcm.astype("<i2").tobytes())
    return path


def data_url(path: Path) -> str:
    return "data:audio/wav;base64," + base64.b64encode(path.read_bytes()).decode()


def test_two_voices_in_one_channel_are_two_speakers_and_their_words_are_what_they_were(
    server: Server, speech: Path
) -> None:
    asked: dict[str, Any] = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    told = ask(server, speech, speakers="auto", **asked).json()
    plain = ask(server, speech, **asked).json()
    assert json.dumps(told["words"]) == json.dumps(plain["words"])
    assert told["text"] == plain["text"]
    turns = [speaker for speaker, _ in groupby(segment["speaker"] for segment in told["segments"])]
    assert turns == ["A", "B"] * 3


def test_as_many_speakers_as_were_asked_for(server: Server, speech: Path) -> None:
    told = ask(server, speech, response_format="diarized_json", speakers="1").json()
    assert {segment["speaker"] for segment in told["segments"]} == {"A"}


def test_known_voices_have_their_names(client: OpenAI, speech: Path, tmp_path: Path) -> None:
    second_sentence = read(speech)[53 * SAMPLE_RATE // 10 : 72 * SAMPLE_RATE // 10]
    reference = wav(tmp_path / "reference.wav", second_sentence)
    answer = client.audio.transcriptions.create(
        file=speech,
        model="demo",
        response_format="diarized_json",
        known_speaker_names=["Иван  Петрович"],
        known_speaker_references=[data_url(reference)],
    )
    turns = [speaker for speaker, _ in groupby(segment.speaker for segment in answer.segments)]
    assert turns == ["A", "Иван Петрович"] * 3


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("https://example.org/voice.wav", "nothing is fetched"),
        ("data:audio/wav;base64,!!!", "not base64"),
        ("data:audio/wav;base64,AAAA", "not a recording"),
        ("", "one for each"),
    ],
)
def test_a_reference_is_some_seconds_of_sound(server: Server, speech: Path, reference: str, reason: str) -> None:
    form: dict[str, Any] = {"known_speaker_names[]": ["Иван", "Анна"][: 1 if reference else 2]}
    form["known_speaker_references[]"] = [reference or "data:,"]
    refused = ask(server, speech, response_format="diarized_json", **form)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "known_speaker_references")
    assert reason in refused.json()["error"]["message"]


def test_a_reference_is_neither_too_short_nor_too_long(server: Server, speech: Path, tmp_path: Path) -> None:
    for seconds, reason in ((1, "shorter than"), (13, "longer than")):
        reference = wav(tmp_path / "reference.wav", read(speech)[: seconds * SAMPLE_RATE])
        form = {"known_speaker_names[]": "Иван", "known_speaker_references[]": data_url(reference)}
        refused = ask(server, speech, response_format="diarized_json", **form)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "known_speaker_references")
        assert reason in refused.json()["error"]["message"]


def test_references_of_whatever_size_are_refused_in_time(server: Server, speech: Path) -> None:
    refused = ask(server, speech, **{"known_speaker_references[]": "data:audio/wav;base64," + "A" * (2 << 20)})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "known_speaker_references[]")
