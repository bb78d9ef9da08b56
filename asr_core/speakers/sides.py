"""PURE: the segments of all channels → those of one recording, in order of time, each with its speaker."""

from __future__ import annotations

from dataclasses import replace
from heapq import heappop, heappush
from itertools import islice

from asr_core.speakers.labels import labels
from asr_core.text.writer import Writer
from asr_core.types import SAMPLE_RATE, Chunk, Hypothesis, Segment


class SidesWriter:
    """Hypotheses of chunks of several channels in, segments out: each channel is a speaker.

    A segment comes out once no channel can have an earlier one any more. Chunks of no channel give what a `Writer`
    alone does.
    """

    def __init__(self) -> None:
        self._writers: dict[int | None, Writer] = {}
        self._waiting: list[tuple[float, int, int, Segment]] = []  # by start, channel and number in it
        self._n_segments = 0

    def write(self, chunk: Chunk, hypothesis: Hypothesis) -> list[Segment]:
        """Take what was heard in the next chunk; give the segments that are now certain to be next."""
        writer = self._writers.setdefault(chunk.channel, Writer())
        written = writer.write(chunk, hypothesis)
        if chunk.channel is None:
            return written
        self._hold(chunk.channel, written)
        held = [one.waits_from for one in self._writers.values() if one.waits_from is not None]
        return self._release(min([chunk.settled, *held]) / SAMPLE_RATE)

    def flush(self) -> list[Segment]:
        """Give the last segments, after the last chunk."""
        mixed: list[Segment] = []
        for channel, writer in self._writers.items():
            if channel is None:
                mixed += writer.flush()
            else:
                self._hold(channel, writer.flush())
        return mixed + self._release(float("inf"))

    def _hold(self, channel: int, written: list[Segment]) -> None:
        label = next(islice(labels(), channel, None))
        for segment in written:
            named = replace(segment, speaker=label)
            heappush(self._waiting, (segment.start_s, channel, segment.index, named))

    def _release(self, before_s: float) -> list[Segment]:
        released = []
        while self._waiting and self._waiting[0][0] < before_s:
            segment = heappop(self._waiting)[-1]
            released.append(replace(segment, index=self._n_segments))
            self._n_segments += 1
        return released
