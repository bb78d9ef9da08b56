"""What a command wants of each recording."""

from __future__ import annotations

from dataclasses import dataclass, field

from asr_core.types import Hints


@dataclass(frozen=True, slots=True)
class Wish:
    """Its defaults leave each choice to the recording."""

    audio_track: int | None = None
    """The sound track to hear."""
    hints: Hints = field(default_factory=Hints)
