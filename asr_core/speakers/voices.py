"""Who speaks in one channel, by voice: known once the recording is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from asr_core.speakers.clustering import Vectors, Weights, likeness, named, speakers
from asr_core.speakers.encoder import SpeakerEncoder
from asr_core.speakers.labels import labels
from asr_core.speakers.sides import SidesWriter
from asr_core.speakers.turns import Heard, split, who_says
from asr_core.speakers.windows import windows
from asr_core.types import Chunk, Hypothesis, KnownSpeaker, Pcm, Segment, Span

WHOLE = 0.6
"""Share of a window from which on it helps to find out who is there; of less it is only asked who it is."""


class VoicesWriter:
    """Hypotheses in, segments out when all are in, each with its speaker.

    Where channels are heard by themselves they are the speakers, and segments come as they do there. `hear` is work for
    a worker, and so is `flush`; what is kept of a window is half a kilobyte.
    """

    def __init__(
        self, load: Callable[[], SpeakerEncoder], n_speakers: int | None = None, known: Sequence[KnownSpeaker] = ()
    ) -> None:
        """`load` is called on a worker, where somebody speaks in one channel.

        `n_speakers` is how many there are, if that is known; `known` is how some of them sound.
        """
        self._load = load
        self._n_speakers = n_speakers
        self._known = known
        self._writer = SidesWriter()
        self._segments: list[Segment] = []
        self._heard: dict[int, tuple[list[Span], np.ndarray]] = {}

    def hear(self, chunk: Chunk) -> None:
        """Remember what the voices in a chunk sound like. Chunks may come in any order, beside each other."""
        if chunk.channel is None:
            encoder = self._load()
            found = windows(chunk, encoder.window)
            prints = encoder.embed(found.sound, found.starts)
            self._heard[chunk.index] = found.spans, prints.astype(np.float16)

    def write(self, chunk: Chunk, hypothesis: Hypothesis) -> list[Segment]:
        segments = self._writer.write(chunk, hypothesis)
        if chunk.channel is not None:
            return segments
        self._segments += segments
        return []

    def flush(self) -> list[Segment]:
        """All segments of a recording of one channel; the last ones of several."""
        last = self._writer.flush()
        if not self._heard:
            return last
        self._segments += last
        spans = [span for index in sorted(self._heard) for span in self._heard[index][0]]
        if not spans:
            return list(split(self._segments, ["A"] * sum(len(segment.words) for segment in self._segments)))
        prints = np.concatenate([self._heard[index][1] for index in sorted(self._heard)])
        self._heard.clear()
        centres = speakers(prints, self._weights(spans), self._n_speakers)
        words = [word for segment in self._segments for word in segment.words]
        said_by = who_says(words, Heard(spans, likeness(prints, centres)))
        return list(split(self._segments, self._names(said_by, centres)))

    def _weights(self, spans: Sequence[Span]) -> Weights:
        shares = np.array([len(span) / self._load().window for span in spans], np.float32)
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


def _all_of(sound: Pcm, window: int) -> list[int]:
    """Where windows begin that cover a known speaker's sound."""
    return list(range(0, max(1, len(sound) - window + 1), window // 2))
