"""Live sessions as OpenAI's own client has them, over a real socket, with the demo model."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import threading
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import websockets
from openai import OpenAI
from openai.resources.realtime.realtime import RealtimeConnection
from websockets.sync.client import connect

from tests.conftest import Server, running_server, wait_until

TRANSCRIPTION = "conversation.item.input_audio_transcription"
INTENT = {"intent": "transcription"}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a key, room for two sessions, and little patience."""
    folder = tmp_path_factory.mktemp("keyed")
    with running_server(folder, API_KEY="secret", MAX_LIVE="2", LIVE_IDLE_SECONDS="3") as running:
        yield running


@pytest.fixture(scope="module")
def sound(speech: Path) -> bytes:
    """The demo's recording at 24 kHz, and a second of silence."""
    with wave.open(str(speech)) as recording:
        samples = np.frombuffer(recording.readframes(recording.getnframes()), np.int16)
    times = np.arange(len(samples) * 3 // 2) / 1.5
    return np.interp(times, np.arange(len(samples)), samples).astype(np.int16).tobytes() + bytes(48_000)


@contextmanager
def session(server: Server, key: str = "unused", **options: Any) -> Iterator[RealtimeConnection]:
    with (
        OpenAI(base_url=f"{server.url}/v1", api_key=key) as client,
        client.realtime.connect(extra_query=INTENT) as connection,
    ):
        assert connection.recv().type == "session.created"
        connection.session.update(session={"type": "transcription", **options})  # type: ignore[arg-type]  # a table
        assert connection.recv().type == "session.updated"
        yield connection


def send(connection: RealtimeConnection, sound: bytes, step: int = 4_800) -> None:
    for start in range(0, len(sound), step):
        connection.input_audio_buffer.append(audio=base64.b64encode(sound[start : start + step]).decode())


def until(connection: RealtimeConnection, kind: str) -> list[Any]:
    """The events up to one of a kind."""
    received: list[Any] = []
    while not received or received[-1].type != kind:
        received.append(connection.recv())
    return received


def transcripts(connection: RealtimeConnection, spoken_text: str) -> list[Any]:
    """Events until the items completed hold as many words as were spoken."""
    received: list[Any] = []
    words = 0
    while words < len(spoken_text.split()):
        received += until(connection, f"{TRANSCRIPTION}.completed")
        words += len(received[-1].transcript.split())
    return received


def test_the_items_joined_are_the_text_of_the_file_and_the_deltas_of_each_are_its_text(
    server: Server, sound: bytes, spoken_text: str
) -> None:
    include = ["item.input_audio_transcription.logprobs"]
    with session(server, include=include) as connection:
        sender = threading.Thread(target=send, args=(connection, sound))
        sender.start()
        received = transcripts(connection, spoken_text)
        sender.join()
    completed = [event for event in received if event.type == f"{TRANSCRIPTION}.completed"]
    assert " ".join(event.transcript for event in completed) == spoken_text
    assert len(completed) > 3
    for event in completed:
        deltas = [e for e in received if e.type == f"{TRANSCRIPTION}.delta" and e.item_id == event.item_id]
        assert "".join(delta.delta for delta in deltas) == event.transcript
        for part in (*((delta.delta, delta.logprobs) for delta in deltas), (event.transcript, event.logprobs)):
            assert "".join(entry.token for entry in part[1]) == part[0]
        assert event.usage.type == "duration"
        assert event.usage.seconds > 1
        own = [e.type.rpartition(".")[2] for e in received if getattr(e, "item_id", None) == event.item_id]
        assert own[0] == "speech_started"
        assert own.index("speech_stopped") < own.index("committed") < own.index("completed")
    assert len({event.event_id for event in received}) == len(received)
    committed = [event for event in received if event.type == "input_audio_buffer.committed"]
    assert [e.previous_item_id for e in committed] == [None, *(e.item_id for e in committed[:-1])]
    added = [event for event in received if event.type in {"conversation.item.added", "conversation.item.done"}]
    assert [event.item.id for event in added] == [e.item_id for e in committed for _ in range(2)]


@pytest.mark.parametrize("format_", [{"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcm", "rate": 48000}])
def test_the_client_commits_where_turns_are_not_detected(
    server: Server, sound: bytes, format_: dict[str, Any], spoken_text: str
) -> None:
    if format_["rate"] == 48000:
        sound = np.repeat(np.frombuffer(sound, np.int16), 2).tobytes()
    with session(server, audio={"input": {"turn_detection": None, "format": format_}}) as connection:
        send(connection, sound[: len(sound) // 4], step=200_000)
        connection.input_audio_buffer.commit()
        received = until(connection, f"{TRANSCRIPTION}.completed")
    assert not any("speech" in event.type for event in received)
    assert spoken_text.startswith(received[-1].transcript[:20])
    assert len(received[-1].transcript) > 20


def test_cleared_sound_is_not_transcribed_and_nothing_cannot_be_committed(server: Server, sound: bytes) -> None:
    with session(server, audio={"input": {"turn_detection": None}}) as connection:
        send(connection, sound[:100_000], step=100_000)
        connection.input_audio_buffer.clear()
        until(connection, "input_audio_buffer.cleared")
        connection.input_audio_buffer.commit(event_id="mine")
        error = until(connection, "error")[-1].error
        assert (error.event_id, error.type) == ("mine", "invalid_request_error")


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("{", None),
        ("[]", None),
        ("[" * 100_000, None),
        ('{"type": "response.create"}', "type"),
        ('{"type": {}}', "type"),
        ('{"type": "input_audio_buffer.append"}', "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "?"}', "audio"),
        ('{"type": "input_audio_buffer.commit", "foo": 1}', "foo"),
        ('{"type": "session.update", "session": 1}', "session"),
        ('{"type": "session.update", "session": {"type": "realtime"}}', "session.type"),
        ('{"type": "session.update", "session": {"audio": {"input": {"foo": 1}}}}', "session.audio.input.foo"),
        (
            '{"type": "session.update", "session": {"audio": {"input": {"transcription": {"model": "gpt-9"}}}}}',
            "model",
        ),
        (
            '{"type": "session.update", "session": {"audio": {"input": {"turn_detection": '
            '{"type": "server_vad", "threshold": 2}}}}}',
            "session.audio.input.turn_detection.threshold",
        ),
    ],
)
def test_an_event_that_cannot_be_used_is_named_and_the_session_lives_on(
    server: Server, message: str, param: str | None
) -> None:
    with session(server) as connection:
        connection._connection.send(message)
        assert until(connection, "error")[-1].error.param == param
        connection.session.update(session={"type": "transcription"})
        until(connection, "session.updated")


def test_a_thousand_junk_events_are_a_thousand_errors(server: Server) -> None:
    with session(server) as connection:
        for n in range(1_000):
            connection._connection.send(os.urandom(20) if n % 2 else json.dumps({"type": f"junk{n}"}))
        for _ in range(1_000):
            assert connection.recv().type == "error"
        connection.session.update(session={"type": "transcription"})
        assert connection.recv().type == "session.updated"


def test_an_update_changes_what_it_names_and_nothing_else(server: Server) -> None:
    detection = {"type": "server_vad", "threshold": 0.7, "silence_duration_ms": 900}
    with session(
        server, audio={"input": {"turn_detection": detection, "format": {"type": "audio/pcmu"}}}
    ) as connection:
        connection.session.update(
            session={"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
        )
        shown: Any = until(connection, "session.updated")[-1].session
        assert shown.audio.input.transcription.model == "whisper-1"
        assert shown.audio.input.turn_detection.threshold == 0.7
        assert shown.audio.input.format.type == "audio/pcmu"
        connection.session.update(
            session={"type": "transcription", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
        )
        shown = until(connection, "session.updated")[-1].session
        assert shown.audio.input.turn_detection.type == "semantic_vad"


def test_only_who_has_the_key_may_talk_be_it_in_a_header_or_in_a_subprotocol(keyed: Server) -> None:
    address = f"ws://127.0.0.1:{keyed.port}/v1/realtime?intent=transcription"
    for subprotocols in (None, ["realtime"], ["realtime", "openai-insecure-api-key.wrong"]):
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            connect(address, subprotocols=subprotocols)  # type: ignore[arg-type]  # plain strings
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body or b"")["error"]["code"] == "invalid_api_key"
    subprotocols = ["realtime", "openai-insecure-api-key.secret"]
    with connect(address, subprotocols=subprotocols) as connection:  # type: ignore[arg-type]  # plain strings
        assert connection.subprotocol == "realtime"
        assert json.loads(connection.recv())["type"] == "session.created"
    stranger = OpenAI(base_url=f"{keyed.url}/v1", api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.realtime.client_secrets.create()


def test_a_client_secret_opens_the_session_that_it_was_made_for(keyed: Server) -> None:
    with OpenAI(base_url=f"{keyed.url}/v1", api_key="secret", max_retries=0) as client:
        secret = client.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session={"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}},
        )
    assert secret.value.startswith("ek_")
    with (
        OpenAI(base_url=f"{keyed.url}/v1", api_key=secret.value) as client,
        client.realtime.connect(extra_query=INTENT) as connection,
    ):
        created: Any = connection.recv()
        assert created.session.audio.input.transcription.model == "whisper-1"
    refused = httpx.get(f"{keyed.url}/v1/models", headers={"Authorization": f"Bearer {secret.value}"})
    assert refused.status_code == 401


def test_one_session_too_many_is_told_so_and_one_that_ended_makes_room(keyed: Server) -> None:
    with ExitStack() as others:
        for _ in range(2):
            others.enter_context(session(keyed, "secret"))
        client = others.enter_context(OpenAI(base_url=f"{keyed.url}/v1", api_key="secret"))
        with client.realtime.connect(extra_query=INTENT) as refused:
            error: Any = refused.recv()
            assert (error.type, error.error.code) == ("error", "too_many_sessions")
            with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
                refused.recv()
            assert closed.value.rcvd
            assert closed.value.rcvd.code == 1013
    with session(keyed, "secret"):
        pass


def test_a_session_in_which_nothing_happens_ends(keyed: Server) -> None:
    with session(keyed, "secret") as connection:
        assert "idle" in until(connection, "error")[-1].error.message
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            connection.recv()


def test_a_client_that_vanishes_in_the_middle_of_a_word_leaves_nothing(server: Server, sound: bytes) -> None:
    with session(server) as connection:
        send(connection, sound[:200_000])
        until(connection, "input_audio_buffer.speech_started")
        assert server.metric("asr_live_sessions") >= 1
        connection._connection.socket.shutdown(socket.SHUT_RDWR)  # no closing frame, and at once
    wait_until(lambda: server.metric("asr_live_sessions") == 0, "a server without sessions")


def test_keywords_and_names_of_a_prompt_are_listened_for(server: Server, sound: bytes, spoken_text: str) -> None:
    asked = {"keywords": ["Больница"], "prompt": "О Шарфе и хлебе."}
    with session(server, audio={"input": {"transcription": asked}}) as connection:
        send(connection, sound)
        received = transcripts(connection, spoken_text)
    heard = " ".join(event.transcript for event in received if event.type == f"{TRANSCRIPTION}.completed")
    assert heard == spoken_text.replace("больница", "Больница").replace("шарфе", "Шарфе")


def test_more_keywords_than_can_be_listened_for_are_refused_and_the_session_lives_on(server: Server) -> None:
    with session(server) as connection:
        asked = {"keywords": [f"слово{n}" for n in range(1001)]}
        audio = {"input": {"transcription": asked}}
        connection.session.update(session={"type": "transcription", "audio": audio})  # type: ignore[misc,arg-type]  # a table
        error = until(connection, "error")[-1].error
        assert error.param == "session.audio.input.transcription.keywords"
        connection.session.update(session={"type": "transcription"})
        until(connection, "session.updated")


def test_a_session_gets_on_beside_a_long_file(
    server: Server, sound: bytes, spoken_text: str, long_recording: Path
) -> None:
    with long_recording.open("rb") as file:
        url, fields = f"{server.url}/v1/audio/transcriptions", {"stream": "true"}
        with httpx.stream("POST", url, files={"file": file}, data=fields, timeout=60) as answer:
            next(line for line in answer.iter_lines() if "transcript.text.delta" in line)
            with session(server) as connection:
                send(connection, sound)
                received = transcripts(connection, spoken_text)
    completed = [event for event in received if event.type == f"{TRANSCRIPTION}.completed"]
    assert " ".join(event.transcript for event in completed) == spoken_text


def test_conversations_are_refused(server: Server) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{server.port}/v1/realtime?model=gpt-realtime")
    assert refused.value.response.status_code == 400


NODE = """
import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket';
import OpenAI from 'openai';
import { WebSocket } from 'ws';
// As a browser's; the client insists on wss.
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) { super(String(url).replace('wss:', 'ws:'), protocols); }
};
import { readFileSync } from 'node:fs';
const [url, file, n] = process.argv.slice(2);
const client = new OpenAI({ baseURL: url, apiKey: 'unused', dangerouslyAllowBrowser: true });
const rt = new OpenAIRealtimeWebSocket({ model: 'whisper-1', dangerouslyAllowBrowser: true }, client);
const texts = [];
rt.on('error', (e) => { console.error(e); process.exit(1); });
rt.on('session.created', () => {
  rt.send({ type: 'session.update', session: { type: 'transcription' } });
  const sound = readFileSync(file);
  for (let at = 0; at < sound.length; at += 4800)
    rt.send({ type: 'input_audio_buffer.append', audio: sound.subarray(at, at + 4800).toString('base64') });
});
rt.on('conversation.item.input_audio_transcription.completed', (e) => {
  texts.push(e.transcript);
  if (texts.join(' ').split(' ').length >= Number(n)) { console.log(texts.join(' ')); rt.close(); process.exit(0); }
});
"""


@pytest.mark.integration
@pytest.mark.skipif(not shutil.which("npm"), reason="needs Node and the npm registry")
def test_openais_client_for_node_hears_the_same(server: Server, sound: bytes, spoken_text: str, tmp_path: Path) -> None:
    (tmp_path / "sound").write_bytes(sound)
    (tmp_path / "live.mjs").write_text(NODE)
    subprocess.run(["npm", "install", "openai", "ws"], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    command = ["node", "live.mjs", f"{server.url}/v1", "sound", str(len(spoken_text.split()))]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (answer.stdout.strip(), answer.returncode) == (spoken_text, 0), answer.stderr
