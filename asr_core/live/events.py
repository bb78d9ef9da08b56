"""PURE: what happens in a live session, for whichever protocol tells it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asr_core.text.words import SpokenWord


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    item_id: str
    at_ms: int
    """From the session's first sound on."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    item_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Committed:
    item_id: str
    previous_id: str | None


@dataclass(frozen=True, slots=True)
class Cleared:
    """Sound that was not committed is forgotten."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Further words of an item; `continues` if they are not its first."""

    item_id: str
    words: tuple[SpokenWord, ...]
    continues: bool

    @property
    def text(self) -> str:
        """Deltas' texts joined are the whole text, byte for byte."""
        return " " * self.continues + joined(self.words)


@dataclass(frozen=True, slots=True)
class Completed:
    item_id: str
    words: tuple[SpokenWord, ...]
    seconds: float

    @property
    def text(self) -> str:
        return joined(self.words)


@dataclass(frozen=True, slots=True)
class Failed:
    item_id: str
    error: Exception


Event = SpeechStarted | SpeechStopped | Committed | Cleared | Delta | Completed | Failed


def joined(words: Iterable[SpokenWord]) -> str:
    return " ".join(word.text for word in words)
