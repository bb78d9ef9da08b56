"""The options of `gigaam-asr transcribe`, as typer reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from asr_core.speakers.count import speaker_count
from asr_core.text.cues import MIN_LINE_WIDTH
from asr_core.text.formats import FORMATS
from asr_core.types import ChannelMode, KeywordsSpelling, PrecisionSetting, SpeakerCount

RESULT, WHERE = "Result", "Where it is computed"


def _known_format(name: str) -> str:
    if name not in FORMATS:
        raise typer.BadParameter(f"{name} is none of {', '.join(FORMATS)}.")
    return name


def _speaker_count(text: str) -> SpeakerCount:
    try:
        return speaker_count(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text}: {error}.") from error


def _sendable(key: str | None) -> str | None:
    if key and not key.isprintable():
        raise typer.BadParameter("--api-key has a character that no key can be sent with, such as a line break.")
    return key


def _head_of_cluster(address: str | None) -> str | None:
    if address and not re.fullmatch(r"(\[[^\]]+\]|[^:]+):\d+", address):
        raise typer.BadParameter("--ray takes HOST:PORT of the cluster's head, such as 10.0.0.5:6379.")
    return address


Inputs = Annotated[list[Path], typer.Argument(metavar="FILES_OR_FOLDERS", help="Sound or video; - is standard input.")]

Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Take the folders in folders too.")]

Formats = Annotated[
    list[str],
    typer.Option(
        "--format",
        "-f",
        metavar="FORMAT",
        parser=_known_format,
        help="text, srt, vtt, tsv, json, verbose_json or diarized_json; several times for several.",
        rich_help_panel=RESULT,
    ),
]

Words = Annotated[
    bool, typer.Option("--words", help="The times of words too, in verbose_json.", rich_help_panel=RESULT)
]

LineWidth = Annotated[
    int,
    typer.Option(
        min=MIN_LINE_WIDTH, help="Characters in a line of srt and vtt.", show_default=True, rich_help_panel=RESULT
    ),
]

LineCount = Annotated[
    int,
    typer.Option(min=1, help="Lines of srt and vtt shown together.", show_default=True, rich_help_panel=RESULT),
]

OutputDir = Annotated[
    Path | None,
    typer.Option(
        "--output-dir",
        "-o",
        metavar="FOLDER",
        help="Folder for the transcripts, instead of beside each recording; - is standard output.",
        rich_help_panel=RESULT,
    ),
]

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Do again what is there already.", rich_help_panel=RESULT)]

AudioTrack = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="NUMBER",
        help="Of several sound tracks this one, counted from 0, instead of a Russian or the default one.",
        rich_help_panel=RESULT,
    ),
]

Keywords = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WORDS",
        help="Names and terms to listen for, comma-separated; several times for more.",
        rich_help_panel=RESULT,
    ),
]

KeywordsFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The same from a file, one a line.", rich_help_panel=RESULT),
]

Spelling = Annotated[
    KeywordsSpelling,
    typer.Option(help="How they are written: as given, or as the model writes words.", rich_help_panel=RESULT),
]

Channels = Annotated[
    ChannelMode | None,
    typer.Option(
        help="mix them; split: hear each by itself, as a speaker; auto: split two that are two sides of a call. "
        "auto with diarized_json, else mix.",
        rich_help_panel=RESULT,
    ),
]

Speakers = Annotated[
    Any,
    typer.Option(
        metavar="auto|NUMBER",
        parser=_speaker_count,
        help="Tell voices apart: so many, or as many as there seem to be. auto with diarized_json.",
        rich_help_panel=RESULT,
    ),
]

Model = Annotated[
    str | None,
    typer.Option(help="v3_ctc, …, demo or a .ckpt file, instead of MODEL.", rich_help_panel=WHERE),
]

Precision = Annotated[PrecisionSetting | None, typer.Option(help="Instead of PRECISION.", rich_help_panel=WHERE)]

Server = Annotated[
    str | None,
    typer.Option(metavar="URL", help="On that server, with its model; http:// may be left out.", rich_help_panel=WHERE),
]

ApiKey = Annotated[
    str | None,
    typer.Option(callback=_sendable, help="The server's, instead of the first in API_KEY.", rich_help_panel=WHERE),
]

Ray = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        callback=_head_of_cluster,
        help="On the Ray cluster there, whose machines all have this package, and the recordings under the same paths.",
        rich_help_panel=WHERE,
    ),
]
