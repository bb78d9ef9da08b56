from __future__ import annotations

import html
import json
import re
import subprocess
import zlib
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.audio import Transcription, TranscriptionVerbose

from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.text.cues import CueLayout, cues
from asr_core.text.encoding import to_json
from asr_core.text.formats import (
    FORMATS,
    RenderOptions,
    delta_text,
    logprob_entries,
    render,
)
from asr_core.text.words import MIN_LOG_PROB
from asr_core.types import ResponseFormat, Segment, Token, Transcript, Word
from tests.text.strategies import layouts, transcripts

EVERYTHING = RenderOptions(word_timestamps=True, segment_timestamps=True, logprobs=True)
CLOCK = r"(\d\d+):([0-5]\d):([0-5]\d),(\d{3})"
SRT_CUE = re.compile(rf"(\d+)\n{CLOCK} --> {CLOCK}\n((?:.+\n)+)\n")


TURNS = [("A", "Да."), ("A", "Нет."), ("Иван", "Что?")]


def segment(index: int, start_s: float, end_s: float, text: str, log_prob: float = -0.25) -> Segment:
    words = tuple(Word(word, start_s, end_s, 0.9) for word in text.split())
    return Segment(index, start_s, end_s, text, words, (Token(text, 0, log_prob),), log_prob, 0.125)


HELLO = Transcript((segment(0, 0.5, 1.25, "Привет, мир."), segment(1, 3661.0, 3662.5, "Как дела?")), 3662.6)
SILENCE = Transcript((), 3.0)


def body(transcript: Transcript, name: str, options: RenderOptions = EVERYTHING) -> str:
    return render(transcript, name, options).body.decode()


def answer(transcript: Transcript, name: str, options: RenderOptions = EVERYTHING) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body(transcript, name, options))
    return found


def srt_cues(text: str) -> list[tuple[int, int, str]]:
    """(start ms, end ms, text) of each cue, numbered from 1 without gaps; the whole file must parse."""
    assert SRT_CUE.sub("", text) == ""
    found = []
    for number, fields in enumerate(SRT_CUE.findall(text), 1):
        assert int(fields[0]) == number
        times = [int(field) for field in fields[1:9]]
        start, end = (((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (times[:4], times[4:]))
        found.append((start, end, fields[9].rstrip("\n")))
    return found


def converted(text: str, demuxer: str, muxer: str) -> str:
    command = [find_ffmpeg(), "-v", "error", "-f", demuxer, "-i", "pipe:0", "-f", muxer, "pipe:1"]
    return subprocess.run(command, input=text.encode(), capture_output=True, check=True, timeout=30).stdout.decode()


def zlib_ratio(text: str) -> float:
    """Whisper's compression ratio."""
    return len(text.encode()) / len(zlib.compress(text.encode()))


def without_escapes(cue_text: str) -> str:
    return cue_text.replace("-->", "→")


@given(transcripts())
def test_deltas_joined_are_the_text_of_every_answer(transcript: Transcript) -> None:
    streamed = "".join(delta_text(found) for found in transcript.segments)
    assert streamed == body(transcript, "text")
    assert streamed == answer(transcript, "json")["text"] == answer(transcript, "verbose_json")["text"]


@given(transcripts())
def test_logprob_entries_spell_each_delta_and_the_whole_text_byte_for_byte(transcript: Transcript) -> None:
    for found in transcript.segments:
        entries = logprob_entries(found)
        assert "".join(entry["token"] for entry in entries) == delta_text(found)
        assert b"".join(bytes(entry["bytes"]) for entry in entries) == delta_text(found).encode()
    entries = answer(transcript, "json")["logprobs"]
    assert "".join(entry["token"] for entry in entries) == transcript.text
    assert all(MIN_LOG_PROB <= entry["logprob"] <= 0 for entry in entries)


@given(transcripts(), st.booleans(), st.booleans(), st.booleans())
def test_the_openai_types_accept_the_json_answers(
    transcript: Transcript, words: bool, segments: bool, logprobs: bool
) -> None:
    options = RenderOptions(words, segments, logprobs)
    plain = Transcription.model_validate_json(render(transcript, "json", options).body, strict=True)
    assert plain.text == transcript.text
    assert (plain.logprobs is not None) == logprobs
    verbose = TranscriptionVerbose.model_validate_json(render(transcript, "verbose_json", options).body, strict=True)
    assert (verbose.segments is not None) == segments
    assert (verbose.words is not None) == words
    if verbose.segments is not None:
        assert " ".join(found.text for found in verbose.segments) == transcript.text
    if verbose.words is not None:
        assert " ".join(word.word for word in verbose.words) == transcript.text
        times = [time for word in verbose.words for time in (word.start, word.end)]
        assert [0, *times, verbose.duration] == sorted([0, *times, verbose.duration])


@given(transcripts(), layouts)
def test_srt_parses_back_to_the_cues(transcript: Transcript, layout: CueLayout) -> None:
    expected = [(cue.start_ms, cue.end_ms, without_escapes("\n".join(cue.lines))) for cue in cues(transcript, layout)]
    assert srt_cues(body(transcript, "srt", RenderOptions(layout=layout))) == expected


@given(transcripts())
def test_vtt_says_what_srt_says_once_unescaped(transcript: Transcript) -> None:
    header, *blocks, rest = body(transcript, "vtt").split("\n\n")
    assert (header, rest) == ("WEBVTT", "")
    srt = srt_cues(body(transcript, "srt"))
    for block, (_, _, said) in zip(blocks, srt, strict=True):
        timing, text = block.split("\n", 1)
        assert re.fullmatch(r"\d\d+:\d\d:\d\d\.\d{3} --> \d\d+:\d\d:\d\d\.\d{3}", timing)
        assert not re.search(r"-->|<|&(?!amp;|lt;|gt;)", text)
        assert without_escapes(unescaped(text)) == said


def unescaped(text: str) -> str:
    """The three escapes of WebVTT undone, in one pass."""
    return re.sub("&(?:amp|lt|gt);", lambda escape: html.unescape(escape[0]), text)


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**7)), max_size=8))
def test_rounding_to_milliseconds_keeps_the_order_of_cues(steps: list[tuple[int, int]]) -> None:
    clock, found = 0, []
    for index, (pause, length) in enumerate(steps):
        start, clock = clock + pause, clock + pause + length
        found.append(segment(index, start / 16000, clock / 16000, "да"))
    times = [
        time
        for start, end, _ in srt_cues(body(Transcript(tuple(found), clock / 16000), "srt"))
        for time in (start, end)
    ]
    assert times == sorted(times)


@given(transcripts())
def test_tsv_has_a_row_of_three_columns_for_each_segment(transcript: Transcript) -> None:
    header, *rows, rest = body(transcript, "tsv").split("\n")
    assert (header, rest) == ("start\tend\ttext", "")
    for row, segment in zip(rows, transcript.segments, strict=True):
        start, end, said = row.split("\t")
        assert said == segment.text
        assert int(start) == pytest.approx(segment.start_s * 1000, abs=0.51)
        assert int(end) == pytest.approx(segment.end_s * 1000, abs=0.51)


def test_every_format_of_one_transcript_reads_as_documented() -> None:
    options = RenderOptions()
    assert body(HELLO, "text", options) == "Привет, мир. Как дела?"
    assert body(HELLO, "json", options) == (
        '{"text":"Привет, мир. Как дела?","usage":{"type":"duration","seconds":3663}}'
    )
    assert body(HELLO, "srt", options) == (
        "1\n00:00:00,500 --> 00:00:01,500\nПривет, мир.\n\n2\n01:01:01,000 --> 01:01:02,500\nКак дела?\n\n"
    )
    assert body(HELLO, "vtt", options) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\nПривет, мир.\n\n01:01:01.000 --> 01:01:02.500\nКак дела?\n\n"
    )
    assert body(HELLO, "tsv", options) == ("start\tend\ttext\n500\t1250\tПривет, мир.\n3661000\t3662500\tКак дела?\n")


def test_verbose_json_has_whispers_fields_and_all_ten_of_a_segment() -> None:
    assert answer(HELLO, "verbose_json", RenderOptions()) == {
        "task": "transcribe",
        "language": "russian",
        "duration": 3662.6,
        "text": "Привет, мир. Как дела?",
        "segments": [
            {
                "id": 0,
                "seek": 0,
                "start": 0.5,
                "end": 1.25,
                "text": "Привет, мир.",
                "tokens": [],
                "temperature": 0.0,
                "avg_logprob": -0.25,
                "compression_ratio": zlib_ratio("Привет, мир."),
                "no_speech_prob": 0.125,
            },
            {
                "id": 1,
                "seek": 0,
                "start": 3661.0,
                "end": 3662.5,
                "text": "Как дела?",
                "tokens": [],
                "temperature": 0.0,
                "avg_logprob": -0.25,
                "compression_ratio": zlib_ratio("Как дела?"),
                "no_speech_prob": 0.125,
            },
        ],
        "usage": {"type": "duration", "seconds": 3663},
    }


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (RenderOptions(), {"segments"}),
        (RenderOptions(word_timestamps=True, segment_timestamps=False), {"words"}),
        (RenderOptions(word_timestamps=True, segment_timestamps=True), {"segments", "words"}),
    ],
)
def test_a_granularity_that_was_not_asked_for_is_left_out(options: RenderOptions, fields: set[str]) -> None:
    assert {"segments", "words"} & answer(HELLO, "verbose_json", options).keys() == fields


def test_the_compression_ratio_tells_a_loop_from_speech() -> None:
    said = ("да " * 99 + "да", "Счастлив уж я надеждой сладкой", "")
    transcript = Transcript(tuple(segment(n, n, n + 1, text) for n, text in enumerate(said)), 3)
    ratios = [found["compression_ratio"] for found in answer(transcript, "verbose_json")["segments"]]
    assert ratios[0] > 2.4 > ratios[1] > ratios[2] == 0.0


def test_silence_is_an_empty_answer_in_every_format() -> None:
    assert body(SILENCE, "text") == body(SILENCE, "srt") == ""
    assert body(SILENCE, "vtt") == "WEBVTT\n\n"
    assert answer(SILENCE, "json") == {"text": "", "logprobs": [], "usage": {"type": "duration", "seconds": 3}}
    verbose = answer(SILENCE, "verbose_json")
    assert (verbose["text"], verbose["segments"], verbose["words"], verbose["duration"]) == ("", [], [], 3.0)


def test_ffmpeg_reads_the_subtitles_as_they_were_meant() -> None:
    said = ["а < б && в", "раз --> два", "5", "<b>жирно</b>", "Конец. &lt;"]
    times = [(0.0004, 1.0), (1.0, 1.0), (1.7, 2.9996), (59.9999, 3599.9999), (360_000.5, 360_001.25)]
    transcript = Transcript(
        tuple(segment(index, *when, text) for index, (when, text) in enumerate(zip(times, said, strict=True))), 360_002
    )
    from_vtt = srt_cues(converted(body(transcript, "vtt"), "webvtt", "srt"))
    assert from_vtt == [(cue.start_ms, cue.end_ms, "\n".join(cue.lines)) for cue in cues(transcript, CueLayout())]
    tame = [0, 1, 2, 4]  # SubRip cannot say <b> without meaning it
    from_srt = srt_cues(converted(body(transcript, "srt"), "srt", "srt"))
    ours = srt_cues(body(transcript, "srt"))
    assert [from_srt[n] for n in tame] == [ours[n] for n in tame]
    assert [cue[:2] for cue in from_srt] == [cue[:2] for cue in ours]


def test_line_breaks_inside_a_text_cannot_break_a_cue() -> None:
    sly = Transcript((segment(0, 0, 1, "раз\n\n2\n00:00:05,000 --> 00:00:06,000\nложь"),), 2)
    assert srt_cues(body(sly, "srt")) == [(0, 2000, "раз 2 00:00:05,000 → 00:00:06,000 ложь")]
    assert body(sly, "vtt").count("\n") == 5
    assert body(sly, "tsv").count("\n") == 2


def test_a_cue_has_the_lines_that_were_asked_for() -> None:
    said = Transcript((segment(0, 0, 2, "Счастлив уж я надеждой сладкой"),), 2)
    narrow = RenderOptions(layout=CueLayout(max_line_width=20))
    assert body(said, "srt", narrow) == "1\n00:00:00,000 --> 00:00:02,000\nСчастлив уж я\nнадеждой сладкой\n\n"
    assert body(said, "vtt", narrow).endswith("\nСчастлив уж я\nнадеждой сладкой\n\n")
    assert body(said, "tsv", narrow).endswith("\tСчастлив уж я надеждой сладкой\n")


def test_turns_are_lines_of_text_where_they_are_asked_for_and_speakers_a_column_of_tsv() -> None:
    said = [replace(segment(n, n, n + 1, text), speaker=who) for n, (who, text) in enumerate(TURNS)]
    told = Transcript(tuple(said), 3.0)
    assert body(told, "text", RenderOptions(turns=True)) == "A: Да. Нет.\nИван: Что?"
    assert body(told, "text") == "Да. Нет. Что?"
    assert body(told, "tsv").splitlines()[::3] == ["start\tend\ttext\tspeaker", "2000\t3000\tЧто?\tИван"]
    assert body(HELLO, "text", RenderOptions(turns=True)) == HELLO.text


@pytest.mark.parametrize("name", ["json", "text", "srt", "vtt", "tsv"])
def test_warnings_are_for_those_who_read_fields(name: str) -> None:
    warned = replace(HELLO, warnings=("The recording is cut short.", "`prompt` had no effect."))
    assert answer(warned, "verbose_json")["warnings"] == ["The recording is cut short.", "`prompt` had no effect."]
    assert "warnings" not in answer(HELLO, "verbose_json")
    assert body(warned, name) == body(HELLO, name)


def test_json_has_times_for_those_who_ask_it_for_them() -> None:
    asked = RenderOptions(word_timestamps=True, segment_timestamps=True, timed_json=True)
    timed, verbose = answer(HELLO, "json", asked), answer(HELLO, "verbose_json", asked)
    assert (timed["segments"], timed["words"]) == (verbose["segments"], verbose["words"])
    assert answer(HELLO, "json", RenderOptions(word_timestamps=True)).keys() == {"text", "usage"}


@pytest.mark.parametrize("log_prob", [float("-inf"), float("inf"), float("nan")])
def test_json_never_holds_infinities_or_nan(log_prob: float) -> None:
    transcript = Transcript((segment(0, 0, 1, "да", log_prob),), 1)
    expected = 0.0 if log_prob == float("inf") else -9999.0
    assert answer(transcript, "json")["logprobs"][0]["logprob"] == expected
    assert answer(transcript, "verbose_json")["segments"][0]["avg_logprob"] == expected
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"logprob": log_prob})


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)))
def test_what_is_encoded_in_pieces_is_what_would_be_encoded_at_once(value: Any) -> None:
    for whole in (value, {"few": [value], "many": [value, 1, "[,]"] * 100}):
        assert to_json(whole) == json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("json", "application/json"),
        ("verbose_json", "application/json"),
        ("text", "text/plain; charset=utf-8"),
        ("srt", "text/plain; charset=utf-8"),
        ("vtt", "text/vtt; charset=utf-8"),
        ("tsv", "text/tab-separated-values; charset=utf-8"),
    ],
)
def test_each_format_names_its_media_type(name: str, media_type: str) -> None:
    assert render(HELLO, name, RenderOptions()).media_type == media_type


def test_every_format_of_the_openai_api_has_a_renderer() -> None:
    assert FORMATS.keys() == {*get_args(ResponseFormat), "tsv"}
