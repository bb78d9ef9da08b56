"""Who speaks when: the spans of the VAD, and in its long gaps those of a levelled copy of the sound.

The VAD follows the loudest voice: of one at -35 dB it finds nothing beside it, and all of it alone. In a copy in which
everything is equally loud it finds it too, but takes breaths for speech there, and would run sentences together. So
spans and pauses are those of the sound as it is, and the copy has its say in long gaps only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from asr_core.audio.hysteresis import SpeechSpans
from asr_core.audio.levels import Leveller
from asr_core.audio.tape import Tape
from asr_core.audio.vad import SileroNetwork, SpeechProbabilities
from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Pcm, Probabilities, Span, VadOptions

LONG_GAP = SAMPLE_RATE
"""A gap longer than this, samples, is listened to again."""

MARGIN = SAMPLE_RATE // 5
"""Sound so close to speech, samples, is taken for the first or last of it."""

SHORTEST_MS = 150
"""Speech that the copy alone hears counts from here on: words in it are judged by how sure the model is of them, which
is too sure of beats of music. Those the copy takes for speech are mostly shorter."""

AUDIBLE = 4
"""Of a gap without an int16 sample beyond this nothing is listened to: a voice that faint would be two bits of noise.
Digital silence, and what decoders and dither make of it, stays below."""

LEAD = SAMPLE_RATE
"""Silence, samples, that the network hears first: just woken, it takes the beginning of music for speech."""

GAP_BATCH_WINDOWS = 32
"""Windows (1 s) of a gap computed at once: most gaps are short."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A span of speech; `certain` if it is one in the sound as it is."""

    span: Span
    certain: bool


class Gap:
    """The levelled copy of one gap, from the window that begins at `start` on."""

    def __init__(self, network: SileroNetwork, vad: VadOptions, start: int) -> None:
        self.start = self.end = start
        self.n_windows = 0  # whose probabilities are known
        self._leveller = Leveller()
        self._probabilities = SpeechProbabilities(network, GAP_BATCH_WINDOWS)
        self._spans = SpeechSpans(replace(vad, min_speech_ms=min(vad.min_speech_ms, SHORTEST_MS)))

    @property
    def open(self) -> Span | None:
        speech = self._spans.open
        return None if speech is None else self._placed(speech)

    @property
    def earliest(self) -> int:
        return self.start + self._spans.earliest

    def push(self, sound: Pcm) -> tuple[list[Span], Probabilities]:
        """Take what follows; give the spans that are now certain and the probabilities of the next windows."""
        self.end += len(sound)
        probabilities = self._probabilities.push(self._leveller.push(sound))
        self.n_windows += len(probabilities)
        return [self._placed(span) for span in self._spans.push(probabilities)], probabilities

    def flush(self) -> tuple[list[Span], Probabilities]:
        rest = self._probabilities.push(self._leveller.flush())
        probabilities = np.concatenate((rest, self._probabilities.flush()))
        self.n_windows += len(probabilities)
        spans = self._spans.push(probabilities) + self._spans.flush(self.end - self.start)
        return [self._placed(span) for span in spans], probabilities

    def _placed(self, span: Span) -> Span:
        return Span(self.start + span.start, self.start + span.end)


class Listener:
    """One recording's sound in, block by block; its voices out, ordered and disjoint.

    Holds the sound and its speech probabilities until told to forget them.
    """

    def __init__(self, network: SileroNetwork, vad: VadOptions) -> None:
        self._network, self._vad = network, vad
        self.pcm = Tape(np.int16)
        self._probabilities = SpeechProbabilities(network)
        self._speech = Tape(np.float32)
        self._spans = SpeechSpans(vad)
        self._spoken = False  # whether anybody has, for certain
        self._silent_from: int | None = 0  # where the gap in progress begins; None while somebody speaks
        self._inaudible_until = 0  # in the gap in progress, from where it begins to be listened to
        self._gap: Gap | None = None  # once it is a long one, and not silent
        self._gap_speech: deque[tuple[int, Probabilities]] = deque()  # by the number of the first window

    @property
    def open(self) -> Voice | None:
        """Speech in progress, as far as it is certain to reach."""
        if (speech := self._spans.open) is not None:
            return Voice(speech, certain=True)
        speech = None if self._gap is None else self._gap.open
        return None if speech is None else Voice(speech, certain=False)

    @property
    def earliest(self) -> int:
        """No voice still to come, nor the open one, starts before this."""
        if self._gap is not None:
            return min(self._gap.earliest, self._spans.earliest)
        return self._spans.earliest if self._silent_from is None else min(self._inaudible_until, self._spans.earliest)

    @property
    def known_until(self) -> int:
        """Voices that start before this have come out or are open."""
        return self.earliest if self.open is None else self.open.span.end

    def push(self, block: Pcm) -> list[Voice]:
        """Take the next samples, [S]; give the voices that are now certain to be complete."""
        self.pcm.append(block)
        voices = self._take(self._probabilities.push(block))
        speech = self._spans.open
        return voices + (self._listen(self._spans.earliest) if speech is None else self._end_gap(speech.start))

    def flush(self) -> list[Voice]:
        """Give the last voices, after the last block."""
        total = self.pcm.end
        voices = self._take(self._probabilities.flush())
        voices += [voice for span in self._spans.flush(total) for voice in self._speaks(span)]
        if not self._spoken and total:
            self._gap = self._gap or self._audible(total)
        return voices + self._end_gap(total + MARGIN)

    def speech_probs(self, first: int, last: int) -> Probabilities:
        """Probabilities of the windows `first` to `last`; in a gap those of the levelled copy, if they are higher."""
        probabilities = self._speech.read(first, last)
        for begin, levelled in self._gap_speech:
            here = probabilities[max(begin - first, 0) : max(begin + len(levelled) - first, 0)]
            np.maximum(here, levelled[max(first - begin, 0) :][: len(here)], out=here)
        return probabilities

    def forget(self, position: int) -> None:
        """Let go of what lies before `position`."""
        self.pcm.forget(position)
        self._speech.forget(position // VAD_WINDOW)
        while self._gap_speech and self._gap_speech[0][0] + len(self._gap_speech[0][1]) <= position // VAD_WINDOW:
            self._gap_speech.popleft()

    def _take(self, probabilities: Probabilities) -> list[Voice]:
        self._speech.append(probabilities)
        return [voice for span in self._spans.push(probabilities) for voice in self._speaks(span)]

    def _speaks(self, span: Span) -> list[Voice]:
        voices = [*self._end_gap(span.start), Voice(span, certain=True)]
        self._spoken, self._silent_from = True, span.end
        self._inaudible_until = -(-(span.end + MARGIN) // VAD_WINDOW) * VAD_WINDOW  # before it is the speech's own
        return voices

    def _listen(self, until: int) -> list[Voice]:
        """Hear the gap in progress, which reaches at least as far as `until`, if it is a long one."""
        if self._silent_from is None:
            return []
        if self._gap is None and until - self._silent_from > LONG_GAP:
            self._gap = self._audible(until - MARGIN)
        if self._gap is None:
            return []
        sound = self.pcm.read(self._gap.end, max(self._gap.end, until - MARGIN))
        return self._heard(self._gap, *self._gap.push(sound))

    def _audible(self, until: int) -> Gap | None:
        """What there is to listen to, from `LEAD` before the first that can be heard on; None if there is nothing."""
        sound = self.pcm.read(self._inaudible_until, max(self._inaudible_until, until))
        audible = (sound > AUDIBLE) | (sound < -AUDIBLE)
        first = int(audible.argmax()) if audible.any() else len(sound)
        skipped = max(first - LEAD, 0) // VAD_WINDOW * VAD_WINDOW
        self._inaudible_until += skipped
        return Gap(self._network, self._vad, self._inaudible_until) if first < len(sound) else None

    def _end_gap(self, end: int) -> list[Voice]:
        """The gap in progress, if there is one, ends where speech begins."""
        voices = self._listen(end)
        if self._gap is not None:
            voices += self._heard(self._gap, *self._gap.flush())
        self._silent_from = self._gap = None
        return voices

    def _heard(self, gap: Gap, spans: list[Span], probabilities: Probabilities) -> list[Voice]:
        if len(probabilities):
            self._gap_speech.append((gap.start // VAD_WINDOW + gap.n_windows - len(probabilities), probabilities))
        return [Voice(span, certain=False) for span in spans]
