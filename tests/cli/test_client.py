"""The wrapper around BentoML's client."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.answers import Unreachable, json_lines
from asr_core.client import Client
from asr_core.errors import BadRequest
from tests.conftest import Server

# Raised by libraries that bentoml uses, when its client is first imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

events = st.lists(st.dictionaries(st.text(max_size=4), st.text(max_size=8) | st.integers(), max_size=3), max_size=6)


@given(events, st.data())
def test_lines_are_found_wherever_the_stream_is_cut_and_blank_ones_skipped(
    sent: list[dict[str, object]], data: st.DataObject
) -> None:
    stream = "".join(json.dumps(event) + "\n" * data.draw(st.integers(1, 3)) for event in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert list(json_lines(pieces)) == sent


def test_a_line_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    assert list(json_lines(['{"a": 1}\n{"a": 2}'])) == [{"a": 1}]


def test_the_stream_is_the_whole_transcript_in_pieces(server: Server, speech: Path, spoken_text: str) -> None:
    with Client(server.url) as client:
        *segments, done = client.stream(speech)
        assert client.transcribe(speech)["text"] == done["text"] == spoken_text
    assert " ".join(segment["text"] for segment in segments) == spoken_text
    assert {segment["type"] for segment in segments} == {"segment"}


def test_the_servers_refusal_is_raised_in_its_own_words(server: Server, tmp_path: Path) -> None:
    (broken := tmp_path / "broken.mp3").write_bytes(b"not sound" * 100)
    with Client(server.url) as client:
        with pytest.raises(BadRequest, match=r"^The file is not a recording"):
            list(client.stream(broken))
        with pytest.raises(BadRequest, match=r"^The file is not a recording"):
            client.transcribe(broken)


def test_no_server_is_known_at_once() -> None:
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        Client("http://127.0.0.1:9")
    gc.collect()  # would warn of anything that was left open
