"""PCM blocks → chunks ready for the model: voice activity detection and chunking, joined up for one recording."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from asr_core.audio.chunking import ChunkPolicy, Merger
from asr_core.audio.hysteresis import SpeechSpans
from asr_core.audio.vad import SileroNetwork, SpeechProbabilities
from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Chunk, Pcm, Span, VadOptions

WHOLE_LIMIT_S = 25.0
"""A recording up to this long is one chunk, silences and all: the model was trained on utterances of that length."""

Scalar = TypeVar("Scalar", bound=np.generic)


class Tape(Generic[Scalar]):
    """The recent part of an array that grows at its end, [start, end), addressed by position in the whole."""

    def __init__(self, dtype: type[Scalar]) -> None:
        self._empty: NDArray[Scalar] = np.empty(0, dtype)
        self._blocks: deque[NDArray[Scalar]] = deque()
        self.start = 0
        self.end = 0

    def append(self, block: NDArray[Scalar]) -> None:
        self._blocks.append(block)
        self.end += len(block)

    def read(self, start: int, end: int) -> NDArray[Scalar]:
        """Copy [start, end), none of which may have been forgotten."""
        pieces, position = [self._empty], self.start
        for block in self._blocks:
            pieces.append(block[max(start - position, 0) : max(end - position, 0)])
            position += len(block)
        return np.concatenate(pieces)

    def forget(self, position: int) -> None:
        """Drop the blocks that end at or before `position`."""
        while self._blocks and self.start + len(self._blocks[0]) <= position:
            self.start += len(self._blocks.popleft())


class Segmenter:
    """One recording's blocks in, its chunks out, in order; what comes out does not depend on the blocks' sizes.

    A recording of up to `whole_limit_s` (or the policy's strict limit, if shorter) is one chunk, whole. Of a longer
    one, chunks are what `merge` makes of its speech spans, and silence is in none of them. Memory stays bounded: only
    sound that a chunk still to come may need is held. Not thread-safe; its work is torch's, for the compute thread.
    """

    def __init__(
        self,
        network: SileroNetwork,
        policy: ChunkPolicy,
        vad: VadOptions,
        whole_limit_s: float = WHOLE_LIMIT_S,
    ) -> None:
        self._whole_limit = min(round(whole_limit_s * SAMPLE_RATE), policy.strict_limit)
        self._probabilities = SpeechProbabilities(network)
        self._spans = SpeechSpans(vad)
        self._merger = Merger(policy, self._quietest)
        self._pcm = Tape(np.int16)
        self._speech = Tape(np.float32)
        self._n_judged = 0  # windows that `_spans` has seen: none before the recording proves too long to be whole
        self._n_chunks = 0

    def push(self, block: Pcm) -> list[Chunk]:
        """Take the next samples, [S]; give the chunks that are now certain."""
        self._pcm.append(block)
        self._speech.append(self._probabilities.push(block))
        if self._pcm.end <= self._whole_limit:
            return []
        spans = self._merge(self._spans.push(self._unjudged()))
        if (speech := self._spans.open) is not None:
            spans += self._merger.extend(speech)
        spans += self._merger.advance(self._spans.earliest)
        chunks = [self._chunk(span) for span in spans]
        self._forget(self._merger.needed_from(self._spans.earliest))
        return chunks

    def flush(self) -> list[Chunk]:
        """Give the last chunks, after the last block."""
        self._speech.append(self._probabilities.flush())
        total = self._pcm.end
        if total <= self._whole_limit:
            return [self._chunk(Span(0, total))] if total else []
        spans = self._merge(self._spans.push(self._unjudged()) + self._spans.flush(total)) + self._merger.flush()
        return [self._chunk(span) for span in spans]

    def _unjudged(self) -> NDArray[np.float32]:
        """The probabilities that `_spans` has not seen yet."""
        start, self._n_judged = self._n_judged, self._speech.end
        return self._speech.read(start, self._speech.end)

    def _merge(self, spans: list[Span]) -> list[Span]:
        return [chunk for span in spans for chunk in self._merger.push(span)]

    def _quietest(self, window: Span) -> int:
        """The middle of the last of the least probable VAD windows that lie in `window`."""
        first, last = -(-window.start // VAD_WINDOW), window.end // VAD_WINDOW
        if first >= last:
            return (window.start + window.end) // 2
        probabilities = self._speech.read(first, last)
        return (last - 1 - int(probabilities[::-1].argmin())) * VAD_WINDOW + VAD_WINDOW // 2

    def _chunk(self, span: Span) -> Chunk:
        first, last = span.start // VAD_WINDOW, -(-span.end // VAD_WINDOW)
        pcm, speech = self._pcm.read(span.start, span.end), self._speech.read(first, last)
        self._n_chunks += 1
        return Chunk(self._n_chunks - 1, span, pcm, speech)

    def _forget(self, needed_from: int) -> None:
        self._pcm.forget(needed_from)
        self._speech.forget(needed_from // VAD_WINDOW)
