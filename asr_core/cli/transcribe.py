"""`gigaam-asr transcribe`."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from asr_core.cli.batch import Transcriber, run_batch
from asr_core.cli.configuration import configured
from asr_core.cli.output import FileSink, Sink, StdoutSink
from asr_core.cli.plan import Collision, Task, find, missing, plan
from asr_core.cli.progress import LogLines, Report
from asr_core.errors import AsrError
from asr_core.settings import Settings
from asr_core.text.formats import RenderOptions

Format = Literal["text", "srt", "vtt", "json", "verbose_json", "tsv"]
Precision = Literal["auto", "fp32", "bf16", "int8"]
Open = Callable[[Callable[[str], None]], AbstractAsyncContextManager[Transcriber]]

STREAM = Path("-")
INTERRUPTED = 128
"""Exit code, plus the number of the signal."""

SOURCE, RESULT, WHERE = "What", "Result", "Where it is computed"


def transcribe(  # noqa: PLR0913 - the options of a command are its parameters
    inputs: Annotated[
        list[Path], typer.Argument(metavar="FILES_OR_FOLDERS...", help="Recordings, sound or video; - is standard input.")
    ],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Also the folders in folders.", rich_help_panel=SOURCE)
    ] = False,
    formats: Annotated[
        list[Format] | None,
        typer.Option("--format", "-f", help="May be given several times. [dim]\\[default: text][/]", rich_help_panel=RESULT),
    ] = None,
    words: Annotated[
        bool, typer.Option("--words", help="Times of words too, in verbose_json.", rich_help_panel=RESULT)
    ] = False,
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", "-o", help="Instead of beside each recording; - is standard output.", rich_help_panel=RESULT),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do again what is there already.", rich_help_panel=RESULT)
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(help="v3_ctc, …, demo, or a .ckpt file. [dim]\\[default: MODEL][/]", rich_help_panel=WHERE),
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="[dim]\\[default: PRECISION][/]", rich_help_panel=WHERE)
    ] = None,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="On that server, with its model.", rich_help_panel=WHERE)
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(help="For --server. [dim]\\[default: the first in API_KEY][/]", rich_help_panel=WHERE)
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="On a Ray cluster: its address, or auto. Every machine must find the recordings under the same paths.",
            rich_help_panel=WHERE,
        ),
    ] = None,
) -> None:
    """Transcribe recordings.

    talk.mp3 becomes talk.txt beside it (.srt, .vtt, .json, .verbose.json, .tsv for the other formats); where a folder
    has both talk.mp3 and talk.wav, talk.mp3.txt and talk.wav.txt. What is there already is not done again, so the same
    command goes on where an interrupted one stopped. Of a folder, the files with a recording's suffix are taken.

    Standard input is answered on standard output. Progress and messages go to standard error.

    Exit code: 0 all done, 1 some recordings failed (named at the end, the others are done), 2 wrong usage,
    130 interrupted.

    [dim]gigaam-asr transcribe talk.mp3
    gigaam-asr transcribe --format srt --format text --recursive ~/lectures
    ffmpeg -i rtsp://… -t 60 -f wav - | gigaam-asr transcribe - > heard.txt
    gigaam-asr transcribe --server http://nas:3000 --output-dir texts inbox/[/]
    """
    wanted: list[Format] = list(dict.fromkeys(formats or ["text"]))
    if words and "verbose_json" not in wanted:
        raise typer.BadParameter("--words belongs to --format verbose_json, the only one that tells the times of words.")
    to_stdout = STREAM in (output_dir, *inputs)
    if to_stdout and len(wanted) > 1:
        raise typer.BadParameter("Standard output takes one --format.")
    if STREAM in inputs and (len(inputs) > 1 or output_dir not in (None, STREAM)):
        raise typer.BadParameter("Standard input comes alone, and is answered on standard output.")
    open_transcriber = _chosen(server, api_key, ray, model, precision)
    try:
        with _standard_input() if STREAM in inputs else nullcontext(inputs) as paths:
            code = _transcribe(paths, recursive, wanted, words, None if to_stdout else output_dir, overwrite, open_transcriber)
    except Interrupted as interrupted:
        # The compute thread may be busy for minutes, and the interpreter would wait for it.
        os._exit(interrupted.exit_code)
    raise typer.Exit(code)


