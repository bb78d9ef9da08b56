"""PURE: whether two channels are two sides of a conversation, or one room in stereo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asr_core.audio.crosstalk import COARSE, correlation
from asr_core.audio.downmix import Sound
from asr_core.types import SAMPLE_RATE

FRAME = SAMPLE_RATE // 2
"""Samples that are judged together."""

ENOUGH = 60 * SAMPLE_RATE // FRAME
"""Frames (60 s) in which somebody speaks that are listened to before it is decided."""

PATIENCE = 900 * SAMPLE_RATE // FRAME
"""Frames (15 min) after which it is decided whatever has been heard."""

SPEAKS_DB, QUIETEST_DB = -30.0, -60.0
"""Somebody speaks in a frame that is at most so much quieter than the loudest, and louder than nearly nothing."""

SHARED = 0.3
"""How much of the louder channel's sound the other one repeats, as amplitude, if the two are one room's: all of it if
both are the same, a tenth if it is crosstalk at -20 dB."""

LEADS_DB = 6.0
"""By how much a side that speaks is louder than the one that listens."""

MOSTLY, SOMETIMES = 0.8, 0.05
"""Shares of the frames in which somebody speaks: in so many the channels are two, and in so many each one leads."""


class Sides:
    """Fed the beginning of a recording of two channels, in windows whose lengths are multiples of `FRAME`."""

    def __init__(self) -> None:
        self._judged = [np.empty((3, 0))]

    @property
    def heard_enough(self) -> bool:
        judged = np.concatenate(self._judged, axis=1)
        return judged.shape[1] >= PATIENCE or int(_speaks(judged).sum()) >= ENOUGH

    @property
    def are_two(self) -> bool:
        """Whether the channels have little in common while either speaks, and both do speak."""
        judged = np.concatenate(self._judged, axis=1)
        left, right, shared = judged[:, _speaks(judged)]
        if not len(shared):
            return False
        leads = [np.mean(lead > LEADS_DB) for lead in (left - right, right - left)]
        return bool(np.mean(shared < SHARED) >= MOSTLY and min(leads) >= SOMETIMES)

    def push(self, sound: Sound) -> None:
        """Take the next of it, [S, 2]."""
        whole = sound[: len(sound) // FRAME * FRAME]
        frames = whole.reshape(-1, FRAME // COARSE, COARSE, 2).mean(axis=2).transpose(2, 0, 1)  # [2, F, N]
        power = np.square(frames, dtype=np.float64).mean(axis=2) + 1e-12
        quieter = np.sqrt(power.min(axis=0) / power.max(axis=0))
        shared = correlation(frames[0], frames[1]) * quieter
        self._judged.append(np.stack((*(10 * np.log10(power)), shared)))


def _speaks(judged: NDArray[np.float64]) -> NDArray[np.bool_]:
    louder = judged[:2].max(axis=0)
    speaks: NDArray[np.bool_] = louder > max(QUIETEST_DB, louder.max(initial=-120.0) + SPEAKS_DB)
    return speaks
