"""Which of a recording's sound tracks to hear. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from asr_core.audio.header import Track
from asr_core.errors import BadRequest


def listening_order(tracks: Sequence[Track], wanted: int | None) -> list[int]:
    """The tracks to try, best first: those marked Russian, then the default one, then as they come.

    Only `wanted`, counted from 0 among the tracks of sound, if that is given; BadRequest if there is none such.
    """
    if wanted is None:
        return sorted(range(len(tracks)), key=lambda n: (not tracks[n].russian, not tracks[n].default))
    if wanted >= len(tracks):
        there = "one sound track, 0" if len(tracks) == 1 else f"{len(tracks)} sound tracks, 0 to {len(tracks) - 1}"
        raise BadRequest(f"audio_track: The recording has {there}.", "audio_track")
    return [wanted]
