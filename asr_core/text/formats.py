"""Transcript → each response format.

One table, `FORMATS`. Streamed answers are made from the same pieces: the deltas of a transcript's segments, joined, are
its text byte for byte.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from asr_core.text.cues import Cue, CueLayout, cues, milliseconds
from asr_core.text.encoding import to_json
from asr_core.text.languages import NAMES, is_told, main_language, shares
from asr_core.text.words import clamp_log_prob
from asr_core.types import Segment, Transcript, Word

SOMEBODY = "A"
"""The speaker where nobody was told apart: there is one."""


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What a request may ask for beyond the format: timestamps in verbose_json, log-probabilities in json, …"""

    word_timestamps: bool = False
    segment_timestamps: bool = True
    logprobs: bool = False
    timed_json: bool = False
    """Whether json has the timestamps too: OpenAI's has none, but there are subtitle editors that ask it for them."""
    turns: bool = False
    """Whether text has a line for each turn, `A: …`, where speakers are told apart: OpenAI's is words alone."""
    layout: CueLayout = field(default_factory=CueLayout)
    """Of srt and vtt."""


@dataclass(frozen=True, slots=True)
class Format:
    """A response format: its name in requests, its media type, and what turns a transcript into it."""

    name: str
    media_type: str
    render: Callable[[Transcript, RenderOptions], str]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A response's body, UTF-8, and its media type."""

    body: bytes
    media_type: str


def render(transcript: Transcript, format_name: str, options: RenderOptions) -> Rendered:
    """`transcript` in one of `FORMATS`; KeyError for any other name."""
    chosen = FORMATS[format_name]
    return Rendered(chosen.render(transcript, options).encode(), chosen.media_type)


def delta_text(segment: Segment) -> str:
    """What `segment` adds to the text before it: a joining space, except at index 0, and its text."""
    return segment.text if segment.index == 0 else " " + segment.text


def logprob_entries(segment: Segment) -> list[dict[str, Any]]:
    """OpenAI's `logprobs` of a segment; the entries' tokens, joined, are `delta_text(segment)` byte for byte."""
    tokens = segment.tokens
    if segment.index > 0:
        tokens = (replace(tokens[0], text=" " + tokens[0].text), *tokens[1:])
    return [
        {"token": token.text, "bytes": list(token.text.encode()), "logprob": clamp_log_prob(token.log_prob)}
        for token in tokens
    ]


def transcription(transcript: Transcript, options: RenderOptions) -> dict[str, Any]:
    """The object that `json` answers with."""
    return spoken(transcript, options) | {"usage": _usage(transcript.duration_s)}


def verbose_transcription(transcript: Transcript, options: RenderOptions) -> dict[str, Any]:
    """The object that `verbose_json` answers with; it has `warnings` if there are any."""
    fields: dict[str, Any] = {
        "task": "transcribe",
        "language": NAMES[main_language(_texts(transcript), transcript.known_languages)],
        **_languages(transcript),
        "duration": _seconds(transcript.duration_s),
        **({} if transcript.audio_track is None else {"audio_track": transcript.audio_track}),
        "text": transcript.text,
    }
    return fields | _timestamps(transcript, options) | told(transcript) | {"usage": _usage(transcript.duration_s)}


def diarized_transcription(transcript: Transcript, options: RenderOptions) -> dict[str, Any]:
    """The object that `diarized_json` answers with; it has `warnings` if there are any."""
    fields: dict[str, Any] = {
        "task": "transcribe",
        "duration": _seconds(transcript.duration_s),
        "text": transcript.text,
        "segments": [diarized_segment(segment) for segment in transcript.segments],
    }
    return fields | told(transcript) | {"usage": _usage(transcript.duration_s)}


def diarized_segment(segment: Segment) -> dict[str, Any]:
    """OpenAI's segment with a speaker, which is an event of a stream as well."""
    return {
        "type": "transcript.text.segment",
        "id": f"seg_{segment.index}",
        "start": _seconds(segment.start_s),
        "end": _seconds(segment.end_s),
        "speaker": segment.speaker or SOMEBODY,
        "text": segment.text,
    }


def spoken(transcript: Transcript, options: RenderOptions) -> dict[str, Any]:
    """What `json` and the end of a stream have in common."""
    fields: dict[str, Any] = {"text": transcript.text, **_languages(transcript)}
    if options.logprobs:
        fields["logprobs"] = [entry for segment in transcript.segments for entry in logprob_entries(segment)]
    return fields | _timestamps(transcript, options) if options.timed_json else fields


def _languages(transcript: Transcript) -> dict[str, Any]:
    """`languages`, the main one first, of a model that knows several."""
    known = transcript.known_languages
    return {"languages": [{"code": code} for code in shares(_texts(transcript), known)]} if is_told(known) else {}


def _texts(transcript: Transcript) -> Iterator[str]:
    return (segment.text for segment in transcript.segments)


def _timestamps(transcript: Transcript, options: RenderOptions) -> dict[str, Any]:
    """`segments` and `words`, if their granularity was asked for.

    Words alone come without segments, as in OpenAI's own answers.
    """
    fields: dict[str, Any] = {}
    if options.segment_timestamps:
        fields["segments"] = [_verbose_segment(segment) for segment in transcript.segments]
    if options.word_timestamps:
        fields["words"] = [_timed_word(word) for segment in transcript.segments for word in segment.words]
    return fields


def told(transcript: Transcript) -> dict[str, Any]:
    """`warnings`, if there are any."""
    return {"warnings": list(transcript.warnings)} if transcript.warnings else {}


def _usage(duration_s: float) -> dict[str, Any]:
    """OpenAI's `usage` of kind duration: whole seconds, a begun one counts."""
    return {"type": "duration", "seconds": math.ceil(duration_s)}


def _seconds(value: float) -> float:
    """To the millisecond: word times are no finer than an encoder frame of 40 ms."""
    return round(value, 3)


def _verbose_segment(segment: Segment) -> dict[str, Any]:
    """OpenAI's ten fields, and the speaker if there is one.

    These models have no seek offset, temperature or public token ids to report.
    """
    return {
        "id": segment.index,
        "seek": 0,
        "start": _seconds(segment.start_s),
        "end": _seconds(segment.end_s),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": clamp_log_prob(segment.avg_logprob),
        "compression_ratio": _compression_ratio(segment.text),
        "no_speech_prob": segment.no_speech_prob,
        **({} if segment.speaker is None else {"speaker": segment.speaker}),
    }


def _timed_word(word: Word) -> dict[str, Any]:
    return {"word": word.text, "start": _seconds(word.start_s), "end": _seconds(word.end_s)}


def _compression_ratio(text: str) -> float:
    """UTF-8 bytes over zlib bytes: high for text that repeats itself, 0.0 for none, as zlib always has a header."""
    plain = text.encode()
    return len(plain) / len(zlib.compress(plain))


def _json(transcript: Transcript, options: RenderOptions) -> str:
    return to_json(transcription(transcript, options))


def _verbose_json(transcript: Transcript, options: RenderOptions) -> str:
    return to_json(verbose_transcription(transcript, options))


def _diarized_json(transcript: Transcript, options: RenderOptions) -> str:
    return to_json(diarized_transcription(transcript, options))


def _text(transcript: Transcript, options: RenderOptions) -> str:
    """The text and nothing after it, so that it equals the other formats' text and the streamed one."""
    if not (options.turns and _are_told_apart(transcript)):
        return transcript.text
    turns = groupby(transcript.segments, lambda segment: segment.speaker)
    return "\n".join(f"{speaker}: {' '.join(segment.text for segment in turn)}" for speaker, turn in turns)


def _srt(transcript: Transcript, options: RenderOptions) -> str:
    """SubRip. It has no escapes, so an arrow that could pass for a timing line is replaced by the one it draws."""
    return "".join(
        f"{number}\n{_times(cue, ',')}\n{_said(cue).replace('-->', '→')}\n\n"
        for number, cue in enumerate(cues(transcript, options.layout), 1)
    )


def _vtt(transcript: Transcript, options: RenderOptions) -> str:
    """WebVTT. Text is escaped as in HTML, which takes care of `-->` too."""
    return "WEBVTT\n\n" + "".join(
        f"{_times(cue, '.')}\n{_voice(cue)}{_shown(cue).translate(_VTT_ESCAPES)}\n\n"
        for cue in cues(transcript, options.layout)
    )


def _tsv(transcript: Transcript, options: RenderOptions) -> str:
    """Whisper's table: a header, then each segment's start and end in milliseconds and its text.

    Where speakers are told apart there is a fourth column, behind those that everybody knows.
    """
    columns: list[tuple[object, ...]] = [("start", "end", "text", "speaker")]
    columns += [
        (milliseconds(segment.start_s), milliseconds(segment.end_s), " ".join(segment.text.split()), segment.speaker)
        for segment in transcript.segments
    ]
    n_columns = 4 if _are_told_apart(transcript) else 3
    return "".join("\t".join(map(str, row[:n_columns])) + "\n" for row in columns)


def _are_told_apart(transcript: Transcript) -> bool:
    return any(segment.speaker is not None for segment in transcript.segments)


def _shown(cue: Cue) -> str:
    return "\n".join(cue.lines)


def _said(cue: Cue) -> str:
    return _shown(cue) if cue.speaker is None else f"{cue.speaker}: {_shown(cue)}"


def _voice(cue: Cue) -> str:
    """WebVTT's voice span, which may stay open to the cue's end."""
    return "" if cue.speaker is None else f"<v {cue.speaker.translate(_VTT_ESCAPES)}>"


def _times(cue: Cue, mark: str) -> str:
    return f"{_clock(cue.start_ms, mark)} --> {_clock(cue.end_ms, mark)}"


def _clock(ms: int, mark: str) -> str:
    """HH:MM:SS, `mark`, milliseconds; hours take more digits when they need them."""
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{ms:03}"


_VTT_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})

FORMATS: Mapping[str, Format] = {
    entry.name: entry
    for entry in (
        Format("json", "application/json", _json),
        Format("text", "text/plain; charset=utf-8", _text),
        Format("srt", "text/plain; charset=utf-8", _srt),
        Format("verbose_json", "application/json", _verbose_json),
        Format("diarized_json", "application/json", _diarized_json),
        Format("vtt", "text/vtt; charset=utf-8", _vtt),
        Format("tsv", "text/tab-separated-values; charset=utf-8", _tsv),
    )
}
