"""Speech spans → chunk spans, in integer samples. Pure: no sound, no network, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from asr_core.types import SAMPLE_RATE, Span

Quietest = Callable[[Span], int]
"""Where in a window speech is least likely: a position from `window.start` to `window.end`."""

OVERLAP = 3 * SAMPLE_RATE // 2
"""How far the two sides of a cut through speech hear into each other, samples."""


@dataclass(frozen=True, slots=True)
class ChunkPolicy:
    """How long chunks may be, in samples: `0 < min_duration <= max_duration <= strict_limit`."""

    min_duration: int = 15 * SAMPLE_RATE
    """A chunk longer than this ends at the next pause."""
    max_duration: int = 22 * SAMPLE_RATE
    """Neighbours are not joined into anything longer than this."""
    strict_limit: int = 30 * SAMPLE_RATE
    """No chunk is longer than this: speech that goes on is cut."""
    new_chunk_threshold: int = SAMPLE_RATE // 5
    """A pause is a gap longer than this."""

    def __post_init__(self) -> None:
        if not 0 < self.min_duration <= self.max_duration <= self.strict_limit or self.new_chunk_threshold < 0:
            raise ValueError(f"durations out of order: {self}")

    @classmethod
    def from_seconds(
        cls, *, min_duration: float, max_duration: float, strict_limit: float, new_chunk_threshold: float
    ) -> ChunkPolicy:
        seconds = (min_duration, max_duration, strict_limit, new_chunk_threshold)
        return cls(*(round(duration * SAMPLE_RATE) for duration in seconds))

    @property
    def overlap(self) -> int:
        """How far each side of a cut through speech is heard into the other: at most a quarter of a chunk for both."""
        return min(OVERLAP, self.strict_limit // 8)

    def ends_at_pause(self, held: Span, resumed: int) -> bool:
        """Whether `held` is long enough to end, and the silence up to `resumed` long enough to end it."""
        return len(held) > self.min_duration and resumed - held.end > self.new_chunk_threshold

    def joins(self, held: Span, span: Span) -> bool:
        return not self.ends_at_pause(held, span.start) and span.end - held.start <= self.max_duration


class Merger:
    """GigaAM's long-form rule, fed span by span: the same chunks come out as from the whole list.

    Spans must come ordered and disjoint. Chunks come out ordered and disjoint, at most `policy.strict_limit` long,
    and cover every sample of every span once. The rule is `gigaam.vad_utils`'s, except for where a span that is too
    long alone gets cut: at the quietest place in the second half of the allowed length (its middle if `quietest` is
    not given) instead of into equal parts, which would need to know where the span ends. On both sides of a cut the
    limit leaves room for `policy.overlap` of the other side's sound.
    """

    def __init__(self, policy: ChunkPolicy, quietest: Quietest | None = None) -> None:
        self._policy = policy
        self._quietest = quietest or (lambda window: (window.start + window.end) // 2)
        self._held: Span | None = None
        self._released = 0  # end of the last chunk that came out

    def push(self, span: Span) -> list[Span]:
        """Take the next span, complete; hand out the chunks that this settles."""
        chunks = self.extend(span)
        start = max(span.start, self._released) if self._held is None else self._held.start
        self._held = Span(start, span.end)
        return chunks

    def extend(self, span: Span) -> list[Span]:
        """Take what is known of the next span while it goes on: where it starts, and how far it reaches at least.

        May be called again as the span grows; `push` then takes it whole.
        """
        chunks = [] if self._held is None or self._joins(self._held, span) else self.flush()
        while span.end - (start := max(span.start, self._released)) > self._room(start):
            chunks.append(self._cut(start))
        return chunks

    def advance(self, earliest: int) -> list[Span]:
        """Learn that no further span starts before `earliest`: what no such span could join comes out."""
        held, policy = self._held, self._policy
        if held is None:
            return []
        settled = policy.ends_at_pause(held, earliest) or earliest - held.start >= policy.max_duration
        return self.flush() if settled else []

    def flush(self) -> list[Span]:
        """Hand out what is held, after the last span."""
        chunks = [] if self._held is None else [self._release(self._held)]
        self._held = None
        return chunks

    def needed_from(self, earliest: int) -> int:
        """Where the sound starts that chunks still to come are made of, if no further span starts before `earliest`."""
        return max(earliest, self._released) if self._held is None else self._held.start

    def _joins(self, held: Span, span: Span) -> bool:
        return self._policy.joins(held, span) and span.end - held.start <= self._room(held.start)

    def _room(self, start: int) -> int:
        """How long a chunk from `start` may be: one that follows another at once also hears the end of that one."""
        follows = start == self._released > 0
        return self._policy.strict_limit - (self._policy.overlap if follows else 0)

    def _cut(self, start: int) -> Span:
        first, last = max(self._policy.strict_limit // 2, 1), self._room(start) - self._policy.overlap
        window = Span(start + first, start + last)
        return self._release(Span(start, self._quietest(window)))

    def _release(self, chunk: Span) -> Span:
        self._released = chunk.end
        return chunk


def merge(spans: Iterable[Span], policy: ChunkPolicy, quietest: Quietest | None = None) -> Iterator[Span]:
    """Join neighbours while they fit; cut only what is too long alone. See `Merger`."""
    merger = Merger(policy, quietest)
    for span in spans:
        yield from merger.push(span)
    yield from merger.flush()
