"""Home Assistant's protocol, spoken by the `wyoming` package's own client."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info

from tests.conftest import free_port, running_server


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    with running_server(tmp_path_factory.mktemp("wyoming"), WYOMING_PORT=str(port), MAX_LIVE="1"):
        yield port


async def talk(port: int, *events: Event, until: str) -> list[Event]:
    """What is answered, up to an event of that type."""
    answers: list[Event] = []
    async with AsyncTcpClient("127.0.0.1", port) as client:
        for event in events:
            await client.write_event(event)
        while not answers or answers[-1].type != until:
            answer = await client.read_event()
            assert answer, answers
            answers.append(answer)
    return answers


def test_it_says_what_it_is(port: int) -> None:
    (answer,) = asyncio.run(talk(port, Describe().event(), until="info"))
    (program,) = Info.from_event(answer).asr
    assert program.supports_transcript_streaming
    assert program.models[0].languages == ["ru"]


def test_a_command_is_transcribed_while_it_is_spoken_and_again_the_next_time(
    port: int, speech: Path, spoken_text: str
) -> None:
    with wave.open(str(speech)) as recording:
        sound = recording.readframes(recording.getnframes())
    chunks = [AudioChunk(16_000, 2, 1, sound[at : at + 2048]).event() for at in range(0, len(sound), 2048)]
    said = [Transcribe(language="ru").event(), AudioStart(16_000, 2, 1).event(), *chunks, AudioStop().event()]
    for _ in range(2):
        answers = asyncio.run(talk(port, *said, until="transcript-stop"))
        pieces = [TranscriptChunk.from_event(answer).text for answer in answers if TranscriptChunk.is_type(answer.type)]
        assert TranscriptStart.is_type(answers[0].type)
        assert TranscriptStop.is_type(answers[-1].type)
        assert Transcript.from_event(answers[-2]).text == "".join(pieces)
        assert Transcript.from_event(answers[-2]).text.split()[:5] == spoken_text.split()[:5]


@pytest.mark.parametrize(
    "junk", [b"junk\n", b'{"type": "x", "payload_length": 99999999999}\n', b"[1]\n", b"x" * 100_000]
)
def test_junk_ends_the_connection_and_nothing_else(port: int, junk: bytes) -> None:
    async def send() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(junk)
        try:
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    assert asyncio.run(send()) == b""
    test_it_says_what_it_is(port)
