"""`gigaam-asr transcribe`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import typer

from asr_core.cli import options
from asr_core.cli.asked import form_fields, hints_of, job_options
from asr_core.cli.configuration import configured, require_checkpoint
from asr_core.cli.output import FileSink, Sink, StdoutSink
from asr_core.cli.plan import BatchItem, Collision, find, missing, plan
from asr_core.cli.progress import Report
from asr_core.cli.session import OpenTranscriber, Stopped, run_session
from asr_core.settings import Settings
from asr_core.text.cues import LINE_COUNT, LINE_WIDTH, CueLayout
from asr_core.text.formats import RenderOptions
from asr_core.types import JobOptions

STREAM = Path("-")


@dataclass(frozen=True, slots=True)
class Output:
    """What is to become of the recordings; without formats' files, their text goes to standard output."""

    formats: tuple[str, ...]
    options: RenderOptions
    output_dir: Path | None
    to_stdout: bool
    overwrite: bool
    recursive: bool


def transcribe(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    inputs: options.Inputs,
    recursive: options.Recursive = False,
    formats: options.Formats = ["text"],  # noqa: B006 - typer reads it, nobody changes it
    words: options.Words = False,
    max_line_width: options.LineWidth = LINE_WIDTH,
    max_line_count: options.LineCount = LINE_COUNT,
    output_dir: options.OutputDir = None,
    overwrite: options.Overwrite = False,
    audio_track: options.AudioTrack = None,
    keywords: options.Keywords = None,
    keywords_file: options.KeywordsFile = None,
    keywords_spelling: options.Spelling = "original",
    channels: options.Channels = None,
    speakers: options.Speakers = None,
    model: options.Model = None,
    precision: options.Precision = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
    ray: options.Ray = None,
) -> None:
    """Transcribe recordings.

    talk.mp3 becomes talk.txt beside it (.srt, .vtt, .tsv, .json, .verbose.json, .diarized.json in the other formats);
    where there is a talk.wav as well, talk.mp3.txt and talk.wav.txt. What is there already is not done again, so the
    same command goes on where an interrupted one stopped. Of a folder, files are taken that end like recordings do:
    .mp3, .mkv, …

    Standard input is answered on standard output. Progress and messages go to standard error.

    Exit code: 0 all done; 1 some failed, are named at the end, and did not keep the others from being done;
    2 wrong usage; 128 + the signal's number if a signal ended it: 130 for Ctrl-C.

    ```
    gigaam-asr transcribe talk.mp3
    gigaam-asr transcribe -f srt -f text --recursive lectures/
    gigaam-asr transcribe - < talk.mp3 > talk.txt
    gigaam-asr transcribe --server http://nas:3000 -o texts/ inbox/
    ```
    """
    if words and "verbose_json" not in formats:
        raise typer.BadParameter(
            "--words belongs to --format verbose_json, the only one that tells the times of words."
        )
    if STREAM in inputs and (len(inputs) > 1 or output_dir not in (None, STREAM)):
        raise typer.BadParameter("Standard input comes alone, and is answered on standard output.")
    to_stdout = STREAM in (output_dir, *inputs)
    if to_stdout and len(set(formats)) > 1:
        raise typer.BadParameter("Standard output takes one --format.")
    if server is not None and (model or precision or ray):
        raise typer.BadParameter("--server has its own model and machine: leave out --model, --precision and --ray.")
    hints = hints_of(keywords or [], keywords_file, keywords_spelling)
    settings = configured(model=model, precision=precision)
    rendering = RenderOptions(word_timestamps=words, turns=True, layout=CueLayout(max_line_width, max_line_count))
    output = Output(tuple(formats), rendering, output_dir, to_stdout, overwrite, recursive)
    job = job_options(JobOptions(settings.vad, audio_track=audio_track, hints=hints), formats, channels, speakers)
    computing = _computing(settings, server, api_key, ray, job)
    try:
        if STREAM in inputs:
            with _standard_input(settings.tmpdir) as item:
                code = _run(output, [item], computing, settings.ffmpeg)
        else:
            code = _run(output, _items(output, inputs), computing, settings.ffmpeg)
    except Stopped as stopped:
        # Threads may be busy for minutes, with computing or with an upload, and the interpreter would wait for them.
        os._exit(stopped.exit_code)
    raise typer.Exit(code)


def _computing(
    settings: Settings, server: str | None, api_key: str | None, ray: str | None, job: JobOptions
) -> OpenTranscriber:
    """Where to transcribe. What that needs is imported only then: torch takes seconds."""
    if server is not None:
        from asr_core.cli.remote import remote_transcriber  # noqa: PLC0415

        configured_key = settings.api_key[0].get_secret_value() if settings.api_key else ""
        key = configured_key if api_key is None else api_key
        return partial(remote_transcriber, server, key, form_fields(job))
    require_checkpoint(settings)
    if ray:
        if not find_spec("ray"):
            raise typer.BadParameter("--ray needs Ray: pip install 'gigaam-asr-server[ray]'")
        from asr_core.cli.cluster import cluster_transcriber  # noqa: PLC0415

        return partial(cluster_transcriber, ray, settings, job)
    from asr_core.cli.local import local_transcriber  # noqa: PLC0415

    return partial(local_transcriber, settings, job)


def _items(output: Output, inputs: Iterable[Path]) -> list[BatchItem]:
    """What there is to do, which may be nothing."""
    left_out: list[Path] = []
    recordings = list(
        find(
            inputs,
            recursive=output.recursive,
            unreadable=lambda error: _say(f"warning: {error}"),
            left_out=left_out.append,
        )
    )
    if left_out:
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        _say(f"Left out, being named like transcripts: {left_out[0]}{more}. Standard input takes any: - < FILE.")
    if not recordings:
        _say("There are no recordings there.")
    if output.to_stdout:
        return [BatchItem(recording.path, str(recording.path), {}) for recording in recordings]
    try:
        items = plan(recordings, output.formats, output.output_dir)
    except Collision as error:
        raise typer.BadParameter(str(error)) from error
    if output.overwrite:
        return items
    left = missing(items)
    if len(left) < len(items):
        _say(f"{len(items) - len(left)} of {len(items)} transcribed already (--overwrite would do them again).")
    return left


@contextmanager
def _standard_input(parent: Path | None) -> Iterator[BatchItem]:
    """Standard input as a file, for as long as the scope lasts: many formats can only be read with seeking."""
    with tempfile.TemporaryDirectory(prefix="gigaam-asr-", dir=parent) as folder:
        path = Path(folder, "recording")
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield BatchItem(path, "standard input", {})


def _run(output: Output, items: Sequence[BatchItem], computing: OpenTranscriber, ffmpeg: str) -> int:
    report = Report(len(items))
    sink: Sink = FileSink(output.options)
    if output.to_stdout:
        sink = StdoutSink(output.formats[0], output.options, report.aside)
    return run_session(items, sink, report, computing, ffmpeg)


def _say(message: str) -> None:
    typer.echo(message, err=True)
