"""What a recording's clock adds to its samples: silence, and nothing else. Pure: positions in, positions out.

Decoded sound is kept whole and in order. Where the clock says that nothing was recorded for a while, there is silence
for as long; where it says that sound overlaps with sound, or stands still, it is wrong.
"""

from __future__ import annotations

from asr_core.types import SAMPLE_RATE

TOLERANCE = SAMPLE_RATE // 10
"""Samples by which a stamp may be ahead of the sound before it: codecs and containers round, and networks jitter."""

CREEP_PERIOD = 60 * SAMPLE_RATE
"""A clock that is merely faster than the sound is followed once in so many samples; broken crystals are not."""


class Timeline:
    """One recording's: where each run of samples goes, given what its container says about when it is to be heard."""

    def __init__(self, longest_hole: int, max_samples: int) -> None:
        """A hole longer than `longest_hole`, or that makes more than `max_samples` of it, is the clock's mistake."""
        self.position = 0
        """Samples so far, silence among them."""
        self.behind = 0
        """The most samples by which a stamp was behind the sound before it."""
        self.disbelieved = 0
        """Samples of holes that were not filled."""
        self._longest_hole = longest_hole
        self._max_samples = max_samples
        self._correction = 0  # what is added to stamps
        self._expected: int | None = None  # the stamp that would follow the last one
        self._crept_at = -CREEP_PERIOD

    def silence_before(self, stamp: int, n_samples: int) -> int:
        """Place the next `n_samples`, which are to begin at `stamp`; samples of silence that come before them."""
        lead = stamp + self._correction - self.position
        silence = self._believed(lead, stamp, n_samples)
        if lead > TOLERANCE and not silence:
            self._correction -= lead
            self.disbelieved += lead
        self.behind = max(self.behind, -lead)
        self._expected = stamp + n_samples
        self.position += silence + n_samples
        return silence

    def _believed(self, lead: int, stamp: int, n_samples: int) -> int:
        if self._expected is None:
            tolerance, jump = 0, lead
        else:
            tolerance, jump = TOLERANCE, stamp - self._expected
        if lead <= tolerance or lead > self._longest_hole or self.position + lead > self._max_samples:
            return 0
        if jump < min(n_samples // 2, TOLERANCE):
            if self.position - self._crept_at < CREEP_PERIOD:
                return 0
            self._crept_at = self.position
        return lead
