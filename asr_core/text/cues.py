"""Segments → cues: what is on the screen together, in lines that fit, for as long as it takes to read them.

Words stay where they are: a cue begins with its first word and lasts at least until its last one ends. Only silence is
used, to leave it there for longer.

All is decided by what `verbose_json` tells of the words, so that whoever has that can make the same cues of it: the
page does, in web/page/cues.mjs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

from asr_core.types import Segment, Transcript, Word

MIN_MS = 1_000
"""A cue stays this long, if the next one leaves the time."""

GAP_MS = 100
"""Between a cue that stays after its last word and the next one, so that the eye sees the change."""

CHARS_PER_S = 17
"""How fast subtitles are usually read."""

MAX_MS = 7_000
"""The usual limit for one cue; a word that lasts longer has one to itself."""

JOINING_PAUSE_MS = 600
"""Over a shorter pause, a word alone joins its neighbour."""

MIN_LINE_WIDTH = 10
LINE_WIDTH = 42
LINE_COUNT = 2
"""The usual layout of subtitles in a Cyrillic or Latin script."""

CUT_BONUS = 12
"""How many characters further from the middle a cut may lie for the sake of a comma, or of a joining pause."""


class TimedWord(NamedTuple):
    """A word as `verbose_json` tells of it, in whole milliseconds."""

    text: str
    start_ms: int
    end_ms: int

    @classmethod
    def of(cls, word: Word) -> TimedWord:
        return cls(word.text, milliseconds(word.start_s), milliseconds(word.end_s))


@dataclass(frozen=True, slots=True)
class CueLayout:
    """How much a cue holds. The names are those of Whisper's options."""

    max_line_width: int = LINE_WIDTH
    """Characters in a line; a word that is longer has a line to itself."""
    max_line_count: int = LINE_COUNT

    def fits(self, words: Sequence[TimedWord]) -> bool:
        """Whether `words` can be one cue."""
        lasts_ms = words[-1].end_ms - words[0].start_ms
        return lasts_ms <= MAX_MS and len(_filled(words, self.max_line_width)) <= self.max_line_count


@dataclass(frozen=True, slots=True)
class Cue:
    """Lines to show from `start_ms` until before `end_ms`."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class _Group:
    """Words that are shown together."""

    words: Sequence[TimedWord]
    speaker: str | None


def cues(transcript: Transcript, layout: CueLayout) -> Iterator[Cue]:
    """The transcript's words as cues in order: none is empty, shorter than 1 ms or overlaps another."""
    now_ms = 0
    for group, following in pairwise([*_groups(transcript.segments, layout), None]):
        assert group
        words = group.words
        lines = _lines(words, layout.max_line_width)
        start_ms = max(now_ms, words[0].start_ms)
        spoken_ms = max(start_ms + 1, words[-1].end_ms)
        reading_ms = sum(map(len, lines)) * 1000 // CHARS_PER_S
        readable_ms = start_ms + min(max(MIN_MS, reading_ms), MAX_MS)
        if following:
            free_ms = following.words[0].start_ms - GAP_MS
        else:
            free_ms = max(milliseconds(transcript.duration_s), start_ms + MIN_MS)
        now_ms = max(spoken_ms, min(readable_ms, free_ms))
        yield Cue(start_ms, now_ms, lines, group.speaker)


def milliseconds(seconds: float) -> int:
    """As `verbose_json` rounds, which tells the same words' times."""
    return round(round(seconds, 3) * 1000)


def _groups(segments: Iterable[Segment], layout: CueLayout) -> Iterator[_Group]:
    """The words of each cue: a segment's, unless they are too many, or one alone that has a neighbour near by."""
    held: Sequence[TimedWord] = ()
    speaker: str | None = None
    for segment in segments:
        for words in _fitting([*map(TimedWord.of, segment.words)], layout):
            if held and segment.speaker == speaker and _belong_together(held, words):
                *ready, held = _fitting((*held, *words), layout)
                yield from (_Group(group, speaker) for group in ready)
            else:
                if held:
                    yield _Group(held, speaker)
                held, speaker = words, segment.speaker
    if held:
        yield _Group(held, speaker)


def _belong_together(words: Sequence[TimedWord], following: Sequence[TimedWord]) -> bool:
    return 1 in {len(words), len(following)} and following[0].start_ms - words[-1].end_ms < JOINING_PAUSE_MS


def _fitting(words: Sequence[TimedWord], layout: CueLayout) -> Iterator[Sequence[TimedWord]]:
    """`words` in parts that fit, of about the same length."""
    if len(words) == 1 or layout.fits(words):
        yield words
        return
    cut = _best_cut(words)
    yield from _fitting(words[:cut], layout)
    yield from _fitting(words[cut:], layout)


def _best_cut(words: Sequence[TimedWord]) -> int:
    """Where to part `words`: near the middle of the text, rather after a comma or in a pause."""
    lengths = list(accumulate(len(word.text) + 1 for word in words))

    def cost(cut: int) -> float:
        before, after = words[cut - 1], words[cut]
        longer_part = max(lengths[cut - 1], lengths[-1] - lengths[cut - 1])
        pause = min(1.0, (after.start_ms - before.end_ms) / JOINING_PAUSE_MS)
        return longer_part - CUT_BONUS * (pause + (not before.text[-1].isalnum()))

    return min(range(1, len(words)), key=cost)


def _lines(words: Sequence[TimedWord], width: int) -> tuple[str, ...]:
    """As few lines as `width` allows, and those as even as they can be."""
    widest = _filled(words, width)
    text_length = sum(map(len, widest))
    narrow = (_filled(words, narrower) for narrower in range(text_length // len(widest), width))
    return tuple(next((lines for lines in narrow if len(lines) == len(widest)), widest))


def _filled(words: Iterable[TimedWord], width: int) -> list[str]:
    """Lines of at most `width` characters, each with as many words as fit, and at least one."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word.text) <= width:
            lines[-1] += " " + word.text
        else:
            lines.append(word.text)
    return lines
