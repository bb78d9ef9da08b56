"""PURE: how many speakers somebody asks for."""

from __future__ import annotations

from asr_core.types import MAX_SPEAKERS, SpeakerCount


def speaker_count(text: object) -> SpeakerCount:
    """`auto`, or a number. Raises ValueError for anything else."""
    written = str(text).strip().lower()
    if written == "auto":
        return "auto"
    if written.isascii() and written.isdecimal() and 1 <= int(written[:9]) <= MAX_SPEAKERS:
        return int(written)
    raise ValueError(f"Input should be 'auto' or a number from 1 to {MAX_SPEAKERS}")
