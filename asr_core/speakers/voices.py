"""Who speaks in one channel, by voice: known once the recording is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asr_core.speakers.clustering import Vectors, Weights, likeness, named, packed, speakers
from asr_core.speakers.encoder import SpeakerEncoder
from asr_core.speakers.held import HeldSegments
from asr_core.speakers.labels import labels
from asr_core.speakers.sides import SidesWriter
from asr_core.speakers.turns import Edges, Heard, split, who_says
from asr_core.speakers.windows import windows
from asr_core.types import Chunk, Hypothesis, KnownSpeaker, Pcm, Segment

WHOLE = 0.5
"""Share of a window from which on it helps to find out who is there; of less it is only asked who it is."""


class VoicesWriter:
    """Hypotheses in, segments out when all are in, each with its speaker.

    Where channels are heard by themselves they are the speakers, and segments come as they do there. `hear` is work for
    a worker, and so is `flush`; what is kept of a window is a quarter of a kilobyte.
    """

    def __init__(
        self,
        load: Callable[[], SpeakerEncoder],
        n_speakers: int | None = None,
        known: Sequence[KnownSpeaker] = (),
        *,
        keep_tokens: bool = True,
    ) -> None:
        """`load` is called on a worker, where somebody speaks in one channel.

        `n_speakers` is how many there are, if that is known; `known` is how some of them sound. `keep_tokens` is
        whether the segments of one channel come with their tokens.
        """
        self._load = load
        self._n_speakers = n_speakers
        self._known = known
        self._keep_tokens = keep_tokens
        self._writer = SidesWriter()
        self._segments = HeldSegments()
        self._heard: dict[int, _Heard] = {}

    def hear(self, chunk: Chunk) -> None:
        """Remember what the voices in a chunk sound like. Chunks may come in any order, beside each other."""
        if chunk.channel is None:
            encoder = self._load()
            found = windows(chunk, encoder.window)
            prints = packed(encoder.embed(found.sound, found.starts))
            edges = np.array([(span.start, span.end) for span in found.spans], np.int64).reshape(-1, 2)
            self._heard[chunk.index] = _Heard(edges, np.array(found.shares, np.float32), prints)

    def write(self, chunk: Chunk, hypothesis: Hypothesis) -> list[Segment]:
        segments = self._writer.write(chunk, hypothesis)
        if chunk.channel is not None:
            return segments
        self._segments.add(segments)
        return []

    def flush(self) -> list[Segment]:
        """All segments of a recording of one channel; the last ones of several."""
        last = self._writer.flush()
        if not self._heard:
            return last
        self._segments.add(last)
        blocks = [self._heard[index] for index in sorted(self._heard)]
        self._heard.clear()
        words = self._segments.times
        if not any(len(block.shares) for block in blocks):
            return self._split(["A"] * len(words))
        weights = self._weights(np.concatenate([block.shares for block in blocks]))
        prints = [block.prints for block in blocks]
        centres = speakers(prints, weights, self._n_speakers)
        heard = Heard(np.concatenate([block.edges for block in blocks]), likeness(prints, centres))
        del blocks, prints  # their memory is what the segments are made in
        return self._split(self._names(who_says(words, heard), centres))

    def _split(self, said_by: Sequence[str]) -> list[Segment]:
        found = split(self._segments, said_by)
        return list(found if self._keep_tokens else (replace(segment, tokens=()) for segment in found))

    def _weights(self, shares: Weights) -> Weights:
        whole = shares >= WHOLE
        return np.where(whole, shares, np.float32(0)) if whole.sum() >= max(2, self._n_speakers or 0) else shares

    def _names(self, said_by: Sequence[int], centres: Vectors) -> list[str]:
        """The known ones by their names, all others A, B, … in the order in which they first speak."""
        encoder = self._load()
        samples = [encoder.embed(one.pcm, _all_of(one.pcm, encoder.window)) for one in self._known]
        names = {
            speaker: self._known[reference].name
            for speaker, reference in enumerate(named(centres, samples))
            if reference is not None
        }
        unknown = labels({one.name for one in self._known})
        return [names[one] if one in names else names.setdefault(one, next(unknown)) for one in said_by]


@dataclass(frozen=True, slots=True)
class _Heard:
    """The windows of one chunk."""

    edges: Edges
    shares: Weights
    prints: NDArray[np.int8]


def _all_of(sound: Pcm, window: int) -> list[int]:
    """Where windows begin that cover a known speaker's sound."""
    return list(range(0, max(1, len(sound) - window + 1), window // 2))
