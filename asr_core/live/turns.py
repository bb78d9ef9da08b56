"""PURE: speech probabilities, window by window → where somebody begins to speak and has come to an end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Probabilities

FALL = 0.15
"""How far below the threshold a probability has to be for silence, as in Silero."""

SAMPLES_PER_MS = SAMPLE_RATE // 1000


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """OpenAI's `server_vad`."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    """Sound ahead of what was found to be speech that belongs to it."""
    silence_duration_ms: int = 500
    """Silence that ends an utterance."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Somebody begins to speak at sample `at`, or has stopped: there was no speech from `quiet_from` on."""

    begins: bool
    at: int
    quiet_from: int


class Turns:
    """One stream's turns. Where speech begins is known with its first window."""

    def __init__(self, options: TurnOptions, position: int = 0, *, speaking: bool = False) -> None:
        self.options = options
        self._position = position
        self._speaking = speaking
        self.quiet_from: int | None = None
        """Where the silence at the end of the speech in progress began."""

    def push(self, probabilities: Probabilities) -> Iterator[Turn]:
        """The turns that the next windows bring."""
        for probability in probabilities.tolist():
            start, self._position = self._position, self._position + VAD_WINDOW
            if probability >= self.options.threshold:
                self.quiet_from = None
                if not self._speaking:
                    self._speaking = True
                    yield Turn(True, start, start)
            elif self._speaking and self._is_over(start, probability):
                yield Turn(False, self._position, self.quiet_from or start)
                self.reset()

    def reset(self) -> None:
        """Speech in progress is over, whatever the probabilities say."""
        self._speaking, self.quiet_from = False, None

    def _is_over(self, start: int, probability: float) -> bool:
        if self.quiet_from is None and probability < max(self.options.threshold - FALL, 0.01):
            self.quiet_from = start
        if self.quiet_from is None:
            return False
        return self._position - self.quiet_from >= self.options.silence_duration_ms * SAMPLES_PER_MS
