"""PCM blocks → chunks ready for the model: voice activity detection and chunking, joined up for one recording."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from asr_core.audio.chunking import ChunkPolicy, Merger
from asr_core.audio.levels import evened
from asr_core.audio.listener import LONG_GAP, MARGIN, Listener, Voice
from asr_core.audio.vad import SileroNetwork
from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Chunk, Pcm, Span, VadOptions

WHOLE_LIMIT_S = 25.0
"""A recording up to this long is one chunk, silences and all: the model was trained on utterances of that length."""

PERHAPS, LATE = 0.05, SAMPLE_RATE // 2
"""Windows at least so probable, up to so many samples before a chunk, are its beginning: in noise Silero is sure of
speech only after 0.4 s of it. In ordinary recordings there are hardly any."""

APART = LONG_GAP // 2
"""Sound further than this from all voices, samples, holds no words. In a gap too short to be listened to again nothing
is so far away."""


class Segmenter:
    """One recording's blocks in, its chunks out, in order; what comes out does not depend on the blocks' sizes.

    A recording of up to `whole_limit_s` (or the policy's strict limit, if shorter) is one chunk, whole, if anybody
    speaks in it. Of a longer one, chunks are what `merge` makes of its voices. A chunk is heard with up to `MARGIN` of
    the silence on each side, ahead of it with more if speech may be in it, at most with half of what is there; two that
    touch are heard with `policy.overlap` of each other. Memory stays bounded: only sound that a chunk still to come may
    need is held. Not thread-safe; its work is torch's, for a worker.
    """

    def __init__(
        self,
        network: SileroNetwork,
        policy: ChunkPolicy,
        vad: VadOptions,
        whole_limit_s: float = WHOLE_LIMIT_S,
    ) -> None:
        self._whole_limit = min(round(whole_limit_s * SAMPLE_RATE), policy.strict_limit)
        self._policy = policy
        self._threshold = vad.threshold
        self._listener = Listener(network, vad)
        self._merger = Merger(policy, self._quietest)
        self._unmerged: list[Voice] = []  # while the recording may still be one chunk
        self._voices: deque[Voice] = deque()  # of chunks still to come, and shortly before
        self._waiting: deque[Span] = deque()  # chunks that come out once their surroundings are known
        self._chunk_end: int | None = None  # of the last one that came out
        self._n_chunks = 0

    @property
    def earliest(self) -> int:
        """No chunk still to come is heard from before this."""
        if self._listener.pcm.end <= self._whole_limit:
            return 0
        needed = self._merger.needed_from(self._listener.earliest)
        needed = min([needed, *(span.start for span in self._waiting)]) - max(LATE, self._policy.overlap)
        return max(needed, 0)

    def push(self, block: Pcm) -> list[Chunk]:
        """Take the next samples, [S]; give the chunks that are now certain."""
        self._unmerged += self._listener.push(block)
        if self._listener.pcm.end <= self._whole_limit:
            return []
        self._merge()
        if (voice := self._listener.open) is not None:
            self._waiting += self._merger.extend(voice.span)
        self._waiting += self._merger.advance(self._listener.earliest)
        chunks = list(self._ready())
        self._forget()
        return chunks

    def flush(self) -> list[Chunk]:
        """Give the last chunks, after the last block."""
        self._unmerged += self._listener.flush()
        total = self._listener.pcm.end
        if total <= self._whole_limit:
            self._voices += self._unmerged
            self._waiting += [Span(0, total)] if self._voices else []
        else:
            self._merge()
            self._waiting += self._merger.flush()
        return [self._chunk(self._waiting.popleft(), list(self._voices)) for _ in range(len(self._waiting))]

    def _merge(self) -> None:
        for voice in self._unmerged:
            self._waiting += self._merger.push(voice.span)
            self._voices.append(voice)
        self._unmerged = []

    def _ready(self) -> Iterator[Chunk]:
        """The chunks of which all is known that is heard with them."""
        known, voice = self._listener.known_until, self._listener.open
        voices = [*self._voices, *([] if voice is None else [voice])]
        while self._waiting:
            end = self._waiting[0].end
            if known < end + 2 * MARGIN or (_silence_after(end, voices) == 0 and known < end + self._policy.overlap):
                return
            yield self._chunk(self._waiting.popleft(), voices)

    def _chunk(self, span: Span, voices: list[Voice]) -> Chunk:
        """`span` with its surroundings; `voices` are all that speak in them."""
        before, after = self._surroundings(span, voices)
        heard = Span(span.start - before, span.end + after)
        pcm = self._evened(heard, list(_within(span, voices, heard.start)))
        speech = self._listener.speech_probs(heard.start // VAD_WINDOW, -(-heard.end // VAD_WINDOW))
        self._chunk_end = span.end
        self._n_chunks += 1
        doubtful = tuple(_between((voice.span for voice in voices if voice.certain), heard, MARGIN))
        unspoken = tuple(_between((voice.span for voice in voices), heard, APART))
        goes_on = _silence_after(span.end, voices) == 0
        return Chunk(self._n_chunks - 1, span, pcm, speech, before, after, doubtful, unspoken, goes_on)

    def _evened(self, heard: Span, voices: list[Span]) -> Pcm:
        """The sound of `heard`, the quiet of the voices in it, counted from its start, made louder."""

        def is_speech(part: Span) -> bool:
            start, end = heard.start + part.start, heard.start + part.end
            return bool(
                self._listener.speech_probs(start // VAD_WINDOW, -(-end // VAD_WINDOW)).mean() >= self._threshold
            )

        return evened(self._listener.pcm.read(heard.start, heard.end), voices, is_speech)

    def _surroundings(self, span: Span, voices: list[Voice]) -> tuple[int, int]:
        """How much is heard before and after `span`, within the strict limit and the recording."""
        silence = 2 * span.start if self._chunk_end is None else span.start - self._chunk_end
        before = (
            min(self._lead(span.start), silence // 2) if silence or self._chunk_end is None else self._policy.overlap
        )
        silence = _silence_after(span.end, voices)
        after = min(MARGIN, silence // 2) if silence else self._policy.overlap
        room = self._policy.strict_limit - len(span)
        before = min(before, room)
        return before, min(after, room - before, self._listener.pcm.end - span.end)

    def _lead(self, start: int) -> int:
        """How long before the `start` of a chunk speech may have begun: the margin, or longer if the VAD is late."""
        first = -(-max(start - LATE, self._chunk_end or 0) // VAD_WINDOW)
        perhaps = self._listener.speech_probs(first, start // VAD_WINDOW) >= PERHAPS
        begins = first + int(perhaps.argmax()) - 1 if perhaps.any() else start // VAD_WINDOW
        return max(MARGIN, start - begins * VAD_WINDOW)

    def _quietest(self, window: Span) -> int:
        """The middle of the last of the least probable VAD windows that lie in `window`."""
        first, last = -(-window.start // VAD_WINDOW), window.end // VAD_WINDOW
        if first >= last:
            return (window.start + window.end) // 2
        probabilities = self._listener.speech_probs(first, last)
        return (last - 1 - int(probabilities[::-1].argmin())) * VAD_WINDOW + VAD_WINDOW // 2

    def _forget(self) -> None:
        needed = self.earliest
        self._listener.forget(needed)
        while self._voices and self._voices[0].span.end <= needed - MARGIN:
            self._voices.popleft()


def _silence_after(end: int, voices: Iterable[Voice]) -> int:
    """From the end of a chunk to the next of `voices`; where there is none, twice the margin, which is all of it."""
    return next((max(0, voice.span.start - end) for voice in voices if voice.span.end > end), 2 * MARGIN)


def _within(span: Span, voices: Iterable[Voice], origin: int) -> Iterator[Span]:
    """The voices as far as they are in `span`, counted from `origin`."""
    for voice in voices:
        start, end = max(voice.span.start, span.start), min(voice.span.end, span.end)
        if start < end:
            yield Span(start - origin, end - origin)


def _between(spans: Iterable[Span], heard: Span, margin: int) -> Iterator[Span]:
    """The parts of `heard` further than `margin` from all of `spans`."""
    start = heard.start
    for span in spans:
        if start < (end := min(span.start - margin, heard.end)):
            yield Span(start, end)
        start = max(start, span.end + margin)
    if start < heard.end:
        yield Span(start, heard.end)
