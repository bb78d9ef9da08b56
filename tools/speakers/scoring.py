"""The diarization error rate, by simpleder; around the edges of turns, where nobody is sure, nothing counts."""

from __future__ import annotations

from collections.abc import Sequence

import simpleder  # type: ignore[import-untyped, import-not-found, unused-ignore]  # of the group `speakers`

from tools.speakers.dialogues import Turn

COLLAR_S = 0.25


def error_rate(turns: Sequence[Turn], found: Sequence[Turn]) -> float:
    """Missed, invented and mistaken time over spoken time: 0 is right."""
    edges = sorted({edge for _, start, end in turns for edge in (start, end)})
    holes = [(edge - COLLAR_S, edge + COLLAR_S) for edge in edges]
    return float(simpleder.DER(without(turns, holes), without(found, holes)))


def without(turns: Sequence[Turn], holes: Sequence[tuple[float, float]]) -> list[Turn]:
    """The turns as far as they lie in none of the `holes`, which are in order."""
    left = []
    for who, start, end in turns:
        at = start
        for begin, over in holes:
            if over > at and begin < end:
                if begin > at:
                    left.append((who, at, begin))
                at = over
        if at < end:
            left.append((who, at, end))
    return left
