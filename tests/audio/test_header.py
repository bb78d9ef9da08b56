"""What ffmpeg's words about a recording mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.audio.header import Header, Track
from asr_core.audio.tracks import listening_order
from asr_core.errors import BadRequest

FILM = """\
[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:/tmp/film':
[info]   Metadata:
[info]     title           : Stream #0:7(rus): Audio: aac
[info]                     :   Stream #0:8(rus): Audio: aac
[info]   Duration: 01:02:03.50, start: 1.400000, bitrate: 128 kb/s
[info]   Stream #0:0[0x1](und): Video: h264 (avc1 / 0x31637661), yuv420p, 320x240, 25 fps (default)
[info]   Stream #0:2[0x3](rus): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, mono, fltp, 69 kb/s
[info]   Stream #0:1[0x2](en-GB): Audio: ac3, 48000 Hz, 5.1(side), fltp, 448 kb/s (default)
[in#0/mov @ 0x55e0] [error] moov atom is odd
[info] Stream mapping:
[aist#0:1/aac @ 0x55e0] [dec:aac @ 0x56ff] [error] file:/tmp/film: Input buffer exhausted
"""


def header_of(text: str) -> Header:
    header = Header()
    for line in text.splitlines():
        header.read(line)
    return header


def test_a_film_is_described_by_its_streams_and_nothing_by_its_title() -> None:
    header = header_of(FILM)
    assert header.tracks == [Track(1, "en-GB", True, 6), Track(2, "rus", False, 1)]
    assert (header.claimed_s, header.start_s) == (3723.5, 1.4)
    assert (header.only_sound, header.has_clock, header.complete, header.no_resources) == (False, True, True, False)


def test_what_was_odd_before_decoding_is_no_complaint_and_what_names_our_file_names_it_no_more() -> None:
    assert header_of(FILM).complaint(Path("/tmp/film")) == "Input buffer exhausted"
    assert header_of(FILM.rpartition("[aist")[0]).complaint(Path("/tmp/film")) == ""


@pytest.mark.parametrize(
    ("line", "claimed"),
    [
        ("[info]   Duration: 00:00:05.08, start: 0.069063, bitrate: 64 kb/s", 5.08),
        ("[info]   Duration: 00:00:05.08, bitrate: 64 kb/s", 5.08),
        ("[info]   Duration: 123:00:00.00, start: 0.000000, bitrate: 0 kb/s", 442_800.0),
        ("[info]   Duration: N/A, start: 0.000000, bitrate: N/A", None),
        ("[info]   Duration: 00:00:00.00, bitrate: N/A", None),
    ],
)
def test_a_length_is_told_or_not(line: str, claimed: float | None) -> None:
    assert header_of(f"[info] Input #0, wav, from 'file:/tmp/a':\n{line}").claimed_s == claimed


def test_a_guess_is_not_a_length_nor_is_what_a_broadcast_says() -> None:
    length = "[info]   Duration: 00:00:05.08, start: 0.000000, bitrate: 64 kb/s"
    guess = "[aac @ 0x1] [warning] Estimating duration from bitrate, this may be inaccurate"
    assert header_of(f"{guess}\n[info] Input #0, aac, from 'a':\n{length}").claimed_s is None
    assert header_of(f"[info] Input #0, mpegts, from 'a':\n{length}").claimed_s is None


@pytest.mark.parametrize(
    "said", ["Cannot allocate memory", "pthread_create() failed: Resource temporarily unavailable"]
)
def test_ffmpeg_s_own_want_is_told_from_the_recording_s(said: str) -> None:
    assert header_of(f"[af#0:0 @ 0x1] [error] {said}").no_resources
    assert not header_of(f"[info]     title  : {said}").no_resources


@given(lines=st.lists(st.text()))
def test_any_words_can_be_read(lines: list[str]) -> None:
    header_of("\n".join(lines)).complaint(Path("/tmp/film"))


TRACKS = [Track(1, "eng", True, 2), Track(2, "", False, 1), Track(3, "ru-RU", False, 1)]


def test_russian_comes_first_then_the_default_then_the_others() -> None:
    assert listening_order(TRACKS, None) == [2, 0, 1]
    assert listening_order(TRACKS[1:2], None) == [0]


def test_only_the_track_that_is_asked_for_is_tried() -> None:
    assert listening_order(TRACKS, 1) == [1]
    with pytest.raises(BadRequest, match="3 sound tracks, 0 to 2"):
        listening_order(TRACKS, 3)
