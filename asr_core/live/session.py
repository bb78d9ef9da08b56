"""PURE: one live session: sound and hearings in, events out.

    sound ──> turns ──> an open item ──> hearings of what it is so far ──> deltas
                             │ ends, is committed, or is 20 s long
                             └─────────> one clean hearing of it ────────> the rest, completed

Whoever drives it has each hearing done, one at a time, and hands back what was heard.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from asr_core.audio.tape import Tape
from asr_core.errors import BadRequest
from asr_core.live import events
from asr_core.live.agreement import Agreement
from asr_core.live.turns import SAMPLES_PER_MS, Turn, TurnOptions, Turns
from asr_core.text.words import SpokenWord, spoken_words
from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Hypothesis, Pcm, Probabilities, Span

LIMIT = 20 * SAMPLE_RATE
"""Samples that are heard as one; what goes on for longer is cut at its quietest place."""

LEAST = SAMPLE_RATE // 10
"""Samples that a client may commit, and by which an utterance has to grow to be heard again."""

TAIL = 3 * SAMPLE_RATE // 10
"""Samples of the silence behind an utterance that the model hears."""

BACKLOG = 4
"""Clean hearings that a session may owe before it takes more sound."""


@dataclass(slots=True, eq=False)
class Item:
    """An utterance."""

    id: str
    start: int
    """Sample at which its piece that is open begins."""
    previous_id: str | None
    agreement: Agreement[SpokenWord]
    words: list[SpokenWord] = field(default_factory=list)
    """Said of it, in all its pieces."""
    n_samples: int = 0
    heard_to: int = 0
    n_contradicted: int = 0
    is_lost: bool = False
    """The model has failed on some of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Hearing:
    """Sound that the model is to hear next. `settles`: its words are final; `ends`: so is the item's text."""

    item: Item
    agreement: Agreement[SpokenWord]
    span: Span
    pcm: Pcm
    settles: bool = False
    ends: bool = False


class LiveSession:
    """A session's sound, items and texts; `events` are those that nobody has taken yet."""

    def __init__(self, options: TurnOptions | None) -> None:
        """`options` say how utterances are told apart; None leaves that to the client's commits."""
        self.events: list[events.Event] = []
        self.n_contradicted = 0
        """Items whose clean hearing was not what had been said already."""
        self._sound: Tape[np.int16] = Tape(np.int16)
        self._speech: Tape[np.float32] = Tape(np.float32)
        self._turns = Turns(options) if options else None
        self._item: Item | None = None
        self._previous_id: str | None = None
        self._committed_to = 0
        self._settling: deque[Hearing] = deque()
        self._n_settling = 0  # taken from there and not heard yet

    @property
    def is_behind(self) -> bool:
        """Whether it is to have no more sound before something has been heard."""
        return len(self._settling) >= BACKLOG

    @property
    def is_done(self) -> bool:
        """Whether all that was committed has been heard."""
        return not self._settling and not self._n_settling

    def configure(self, options: TurnOptions | None) -> None:
        """Tell utterances apart in another way from here on."""
        position = self._speech.end * VAD_WINDOW
        self._turns = Turns(options, position, speaking=self._item is not None) if options else None

    def listen(self, sound: Pcm, probabilities: Probabilities) -> None:
        """Take the next of the sound, and the probabilities of the VAD windows that it completes."""
        self._sound.append(sound)
        self._speech.append(probabilities)
        if self._turns is None:
            if self._item is None and len(sound):
                self._open(self._sound.end - len(sound))
        else:
            for turn in self._turns.push(probabilities):
                self._take(turn)
        if self._item and self._sound.end - self._item.start > LIMIT:
            self._cut(self._item)
        self._forget()

    def commit(self) -> None:
        """End the open item at its client's word. Raises BadRequest if there is none, or next to nothing in it."""
        if self._item is None or self._sound.end - self._item.start < LEAST:
            raise BadRequest("There is no sound to commit: less than 100 ms of it, or nobody spoke.")
        self._end(self._item, self._sound.end, self._sound.end)

    def clear(self) -> None:
        """Forget the sound that is not committed."""
        self._item = None
        self._committed_to = self._sound.end
        if self._turns:
            self._turns.reset()
        self.events.append(events.Cleared())

    def next_hearing(self, *, also_open: bool = True) -> Hearing | None:
        """What is to be heard now: what was committed; else, if asked for, the open item where there is more of it."""
        if self._settling:
            self._n_settling += 1
            return self._settling.popleft()
        item = self._item
        if item is None or not also_open:
            return None
        end = self._sound.end
        if self._turns and self._turns.quiet_from is not None:
            end = min(end, self._turns.quiet_from + TAIL)
        if end - max(item.heard_to, item.start) < LEAST:
            return None
        item.heard_to = end
        return self._hearing(item, end)

    def heard(self, hearing: Hearing, hypothesis: Hypothesis) -> None:
        """Take what the model heard in the last hearing."""
        item, words = hearing.item, list(spoken_words(hypothesis, hearing.span))
        if hearing.settles:
            self._n_settling -= 1
            self._say(item, hearing.agreement.finish(words))
            item.n_contradicted += hearing.agreement.contradicted
        elif hearing.agreement is item.agreement:  # not of a piece that has been cut off meanwhile
            self._say(item, hearing.agreement.push(words))
        if hearing.ends and not item.is_lost:
            self.n_contradicted += bool(item.n_contradicted)
            self.events.append(events.Completed(item.id, tuple(item.words), item.n_samples / SAMPLE_RATE))

    def failed(self, hearing: Hearing, error: Exception) -> None:
        """The model could not hear it: an item of which a piece is missing has no text."""
        if hearing.settles:
            self._n_settling -= 1
            if not hearing.item.is_lost:
                self.events.append(events.Failed(hearing.item.id, error))
            hearing.item.is_lost = True

    def _take(self, turn: Turn) -> None:
        assert self._turns
        if turn.begins and self._item is None:
            padding = self._turns.options.prefix_padding_ms * SAMPLES_PER_MS
            item = self._open(max(turn.at - padding, self._committed_to))
            self.events.append(events.SpeechStarted(item.id, item.start // SAMPLES_PER_MS))
        elif not turn.begins and self._item:
            self.events.append(events.SpeechStopped(self._item.id, turn.at // SAMPLES_PER_MS))
            self._end(self._item, turn.at, min(turn.at, turn.quiet_from + TAIL))

    def _open(self, start: int, carried: Sequence[SpokenWord] = ()) -> Item:
        agreement = Agreement(_text, carried)
        self._item = Item(f"item_{secrets.token_hex(10)}", start, self._previous_id, agreement)
        return self._item

    def _end(self, item: Item, end: int, heard_end: int) -> None:
        """The item is whole: commit it."""
        self._settle(item, end, heard_end, ends=True)
        self.events.append(events.Committed(item.id, item.previous_id))
        self._previous_id, self._item = item.id, None
        if self._turns:
            self._turns.reset()

    def _settle(self, item: Item, end: int, heard_end: int, *, ends: bool) -> None:
        item.n_samples += end - item.start
        self._settling.append(self._hearing(item, max(heard_end, item.start), settles=True, ends=ends))
        self._committed_to = end

    def _cut(self, item: Item) -> None:
        """The open item is too long: cut it, into two items where the server tells them apart, else into pieces."""
        position = self._quietest(Span(item.start + LIMIT // 2, self._sound.end))
        said = item.agreement.said  # hearings went beyond the cut: those words will be heard again, and not said again
        carried = [word for word in said if word.middle >= position]
        item.agreement.said = [word for word in said if word.middle < position]
        if self._turns:
            at = position // SAMPLES_PER_MS
            self.events.append(events.SpeechStopped(item.id, at))
            quiet_from = self._turns.quiet_from
            self._end(item, position, position)
            self._turns = Turns(self._turns.options, self._speech.end * VAD_WINDOW, speaking=True)
            self._turns.quiet_from = quiet_from
            self.events.append(events.SpeechStarted(self._open(position, carried).id, at))
        else:
            self._settle(item, position, position, ends=False)
            item.start, item.agreement = position, Agreement(_text, carried)

    def _quietest(self, window: Span) -> int:
        """Where in `window` speech is least likely, over three VAD windows."""
        first = window.start // VAD_WINDOW
        probabilities = self._speech.read(first, self._speech.end)
        smooth = np.convolve(probabilities, np.ones(3), mode="valid")
        return (first + 1 + int(smooth.argmin())) * VAD_WINDOW + VAD_WINDOW // 2

    def _hearing(self, item: Item, end: int, *, settles: bool = False, ends: bool = False) -> Hearing:
        span = Span(item.start, end)
        return Hearing(item, item.agreement, span, self._sound.read(span.start, span.end), settles, ends)

    def _say(self, item: Item, words: list[SpokenWord]) -> None:
        if words:
            self.events.append(events.Delta(item.id, tuple(words), continues=bool(item.words)))
            item.words += words

    def _forget(self) -> None:
        """Let go of sound that nothing will be made of."""
        padding = self._turns.options.prefix_padding_ms * SAMPLES_PER_MS + 2 * VAD_WINDOW if self._turns else 0
        position = self._item.start if self._item else max(self._sound.end - padding, self._committed_to)
        self._sound.forget(position)
        self._speech.forget(position // VAD_WINDOW)


def _text(word: SpokenWord) -> str:
    return word.text
