"""PURE: speech probabilities → speech spans, by Silero's hysteresis."""

from __future__ import annotations

from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Probabilities, Span, VadOptions

UNDECIDED_LIMIT = 60 * SAMPLE_RATE
"""Speech ends after a minute that was neither speech nor silence. Silero would wait on, and all sound since with it;
this is the one departure from it."""

SAMPLES_PER_MS = SAMPLE_RATE // 1000


class SpeechSpans:
    """Probabilities → padded spans of speech: the hysteresis of Silero's `get_speech_timestamps`, fed piece by piece.

    Speech starts with a window at or above the threshold and ends where windows below the lower threshold begin, once
    `min_silence_ms` have passed without another at or above the threshold:

        silence ── p ≥ threshold ──> speech ── p < lower ──> fading ── min_silence_ms later ──> silence, a span is held
                                       ^                       │
                                       └──── p ≥ threshold ────┘

    A held span comes out, padded at its end, once it is certain how much of the gap after it is its own: with the next
    speech that is long enough to count, or when more silence has passed than padding could fill.
    """

    def __init__(self, options: VadOptions) -> None:
        self._threshold = options.threshold
        self._lower_threshold = max(options.threshold - 0.15, 0.01)
        self._min_speech = options.min_speech_ms * SAMPLES_PER_MS
        self._min_silence = options.min_silence_ms * SAMPLES_PER_MS
        self._undecided_limit = max(UNDECIDED_LIMIT, self._min_silence)
        self._pad = options.speech_pad_ms * SAMPLES_PER_MS
        self._next = 0  # where the next window starts
        self._start: int | None = None  # of the speech in progress
        self._silence: int | None = None  # where the silence that may end it starts
        self._padded_start: int | None = None  # of the speech in progress, once it is long enough to count
        self._held: Span | None = None  # ended, its end waiting for padding: close neighbours share the gap

    @property
    def open(self) -> Span | None:
        """Speech in progress that will be a span, as far as it is certain to reach."""
        if self._padded_start is None:
            return None
        return Span(self._padded_start, self._known_end())

    @property
    def earliest(self) -> int:
        """No span still to come starts before this."""
        if self._held is not None:
            return self._held.start
        if self._padded_start is not None:
            return self._padded_start
        return max(0, (self._next if self._start is None else self._start) - self._pad)

    def push(self, probabilities: Probabilities) -> list[Span]:
        """Take the next windows' probabilities [N]; give the spans that are now certain."""
        spans = []
        for probability in probabilities.tolist():
            spans += self._step(probability)
        return spans + self._settle()

    def flush(self, total: int) -> list[Span]:
        """Give the last spans: the recording is `total` samples long, and all its windows have been pushed."""
        spans = [] if self._start is None else self._end_speech(total)
        if self._held is not None:
            spans.append(self._release(min(self._pad, total - self._held.end)))
        return spans

    def _step(self, probability: float) -> list[Span]:
        position = self._next
        self._next += VAD_WINDOW
        if probability >= self._threshold:
            self._silence = None
            if self._start is None:
                self._start = position
                return []
        if self._start is None:
            return []
        if self._silence is None and probability < self._lower_threshold:
            self._silence = position
        if self._silence is None:
            return []
        patience = self._min_silence if probability < self._lower_threshold else self._undecided_limit
        return self._end_speech(self._silence) if position - self._silence >= patience else []

    def _known_end(self) -> int:
        """How far the speech in progress is certain to reach: the last window may be cut short, but is not empty."""
        return self._next - VAD_WINDOW if self._silence is None else self._silence

    def _settle(self) -> list[Span]:
        """Decide what needs no further window: so that a span waits neither for hours of silence nor of speech."""
        spans = self._confirm(self._known_end())
        resumed = self._next - VAD_WINDOW if self._start is None else self._start
        if self._held is not None and resumed - self._held.end >= 2 * self._pad:
            spans.append(self._release(self._pad))
        return spans

    def _confirm(self, known_end: int) -> list[Span]:
        """Let the speech in progress count once it is long enough, which settles where the held span ends."""
        start = self._start
        if start is None or self._padded_start is not None or known_end - start <= self._min_speech:
            return []
        if self._held is None:
            self._padded_start = max(0, start - self._pad)
            return []
        pad = min(self._pad, (start - self._held.end) // 2)
        self._padded_start = start - pad
        return [self._release(pad)]

    def _end_speech(self, end: int) -> list[Span]:
        spans = self._confirm(end)
        if self._padded_start is not None:
            self._held = Span(self._padded_start, end)
        self._start = self._silence = self._padded_start = None
        return spans

    def _release(self, pad: int) -> Span:
        assert self._held is not None
        span, self._held = Span(self._held.start, self._held.end + pad), None
        return span
