"""What is asked of each recording, from the command's options: for an engine here, and for a server as a form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer

from asr_core.types import ChannelMode, Hints, JobOptions, Keyword, KeywordsSpelling, SpeakerCount
from asr_core.wordlist import checked, read_wordlist


def hints_of(keywords: Sequence[str], file: Path | None, spelling: KeywordsSpelling) -> Hints:
    words = [word.strip() for listed in keywords for word in listed.split(",")]
    try:
        listed = read_wordlist(file) if file else ()
        return Hints(checked([*(Keyword(word) for word in words if word), *listed]), spelling=spelling)
    except ValueError as error:
        raise typer.BadParameter(f"{f'--keywords-file {file}' if file else '--keywords'}: {error}.") from error


def job_options(
    options: JobOptions, formats: Sequence[str], channels: ChannelMode | None, speakers: SpeakerCount | None
) -> JobOptions:
    """`options` with who spoke: what was asked for, or what belongs to the formats."""
    diarized = "diarized_json" in formats
    return replace(
        options,
        channels=channels or ("auto" if diarized else "mix"),
        speakers=speakers or ("auto" if diarized else None),
    )


def form_fields(options: JobOptions) -> dict[str, str]:
    """What a server is told of them: nothing of those that leave all to the recording, which old servers take too."""
    words = [keyword.text for keyword in options.hints.keywords]
    told = {
        "audio_track": "" if options.audio_track is None else str(options.audio_track),
        "channels": "" if options.channels == "mix" else options.channels,
        "speakers": "" if options.speakers is None else str(options.speakers),
        "keywords": json.dumps(words, ensure_ascii=False) if words else "",
        "keywords_spelling": options.hints.spelling if words else "",
    }
    return {name: value for name, value in told.items() if value}
