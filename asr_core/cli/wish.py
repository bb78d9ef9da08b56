"""What a command wants of each recording."""

from __future__ import annotations

from dataclasses import dataclass, field

from asr_core.types import Hints


@dataclass(frozen=True, slots=True)
class Wish:
    """Where it matters the server's or the machine's own choice is left by leaving a field as it is."""

    audio_track: int | None = None
    """The sound track to hear."""
    hints: Hints = field(default_factory=Hints)
