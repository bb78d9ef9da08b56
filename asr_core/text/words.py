"""Tokens with frames → words → segments."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Chunk, Hypothesis, Segment, Span, Token, Word

MAX_PHRASE_CHARS = 84
"""Two subtitle lines of 42 characters."""

MAX_PHRASE = 7 * SAMPLE_RATE
"""Longest phrase, samples: the usual limit for one subtitle."""

PAUSE = SAMPLE_RATE * 6 // 10
"""Silence between words that ends a phrase, samples."""

MIN_LOG_PROB = -9999.0
"""Stands for the logarithm of zero: JSON has no infinity."""

_RUNS = re.compile(r"\s+|\S+")
_SENTENCE_END = re.compile(r"""[.!?…]["'«»„“”‘’)\]}]*$""")
_ONE_LETTER_ABBREVIATION = re.compile(r"(?:^|[\W_])[^\W\d_]\.$")


def segments(chunk: Chunk, words: Iterable[SpokenWord], first_index: int) -> list[Segment]:
    """Words of `chunk` as phrases, numbered from `first_index`, with times in the recording's seconds.

    A phrase ends at a pause of `PAUSE`, at the end of a sentence, or before the word that would take it beyond
    `MAX_PHRASE_CHARS` or `MAX_PHRASE`; a word too long alone is a phrase alone. The texts joined by single spaces
    are the words joined by single spaces.
    """
    phrases = _phrases(words)
    return [_segment(index, phrase, chunk) for index, phrase in enumerate(phrases, first_index)]


def clamp_log_prob(log_prob: float) -> float:
    """`log_prob` as a finite Python float in `MIN_LOG_PROB`..0; NaN counts as impossible."""
    return min(0.0, max(MIN_LOG_PROB, float(log_prob)))  # in this order: max(number, NaN) is the number


def sentence_ends(word: str, following: str) -> bool:
    """Whether a sentence ends between two neighbouring words.

    It does after . ! ? or …, with or without closing quotes and brackets, but not where the text goes on with a small
    letter (т. е. так; «Кто?» спросил он) nor after one letter and a full stop (А. С. Пушкин; 1945 г.). Longer
    abbreviations before a capital (ул. Ленина) are taken for ends: they cost a phrase break, nothing else. A stop
    inside a word (3.5) is no end.
    """
    if not _SENTENCE_END.search(word) or _ONE_LETTER_ABBREVIATION.search(word):
        return False
    opening = next((char for char in following if char.isalnum()), "")
    return not opening.islower()


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word as its tokens spell it; `gap` is the space before it, where the model emits that as a token of its own."""

    gap: Token | None
    tokens: tuple[Token, ...]
    span: Span

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)

    @property
    def log_prob(self) -> float:
        """Mean over its tokens."""
        return fmean(token.log_prob for token in self.tokens)

    @property
    def middle(self) -> int:
        return (self.span.start + self.span.end) // 2

    @property
    def spaced_tokens(self) -> tuple[Token, ...]:
        """The tokens that spell a space and the word."""
        if self.gap:
            return self.gap, *self.tokens
        first, *rest = self.tokens
        return replace(first, text=" " + first.text), *rest


def spoken_words(hypothesis: Hypothesis, span: Span) -> Iterator[SpokenWord]:
    """The words heard in `span`, in order: from the first token's frame to one frame after the last one's.

    They never overlap nor leave the span, whatever frames the tokens name; joined by single spaces they are
    `hypothesis.text`. An RNN-T can emit several words in one frame, which then share it in equal parts.
    """
    n_frames = max(hypothesis.n_frames, 1)
    spelled = list(_spellings(_in_order(hypothesis.tokens, n_frames)))
    sharing = Counter(frame for _, tokens in spelled for frame in _outer_frames(tokens))
    before: Counter[int] = Counter()

    def sample(frame: int, n_parts: int) -> int:
        """Where the frame's first `n_parts` of as many as share it are over."""
        parts = frame * sharing[frame] + n_parts
        return span.start + parts * len(span) // (n_frames * sharing[frame])

    for gap, tokens in spelled:
        first, last = tokens[0].frame, tokens[-1].frame
        yield SpokenWord(gap, tokens, Span(sample(first, before[first]), sample(last, before[last] + 1)))
        before.update(_outer_frames(tokens))


def _outer_frames(tokens: Sequence[Token]) -> set[int]:
    return {tokens[0].frame, tokens[-1].frame}


def _in_order(tokens: Iterable[Token], n_frames: int) -> Iterator[Token]:
    """The tokens with frames that never decrease or leave 0..n_frames - 1, and with finite log-probabilities."""
    frame = 0
    for token in tokens:
        frame = min(max(frame, token.frame), n_frames - 1)
        yield Token(token.text, frame, clamp_log_prob(token.log_prob))


def _spellings(tokens: Iterable[Token]) -> Iterator[tuple[Token | None, tuple[Token, ...]]]:
    """Each word as (the space token before it, tokens free of whitespace).

    Whitespace of any kind and length separates words; only the last space before a word can be its `gap`, and only
    if it is a whole token.
    """
    gap: Token | None = None
    word: list[Token] = []
    for token in tokens:
        for run in _RUNS.findall(token.text):
            if not run.isspace():
                word.append(replace(token, text=run))
                continue
            if word:
                yield gap, tuple(word)
                word = []
            gap = replace(token, text=" ") if run == token.text else None
    if word:
        yield gap, tuple(word)


def _phrases(words: Iterable[SpokenWord]) -> Iterator[list[SpokenWord]]:
    phrase: list[SpokenWord] = []
    for word in words:
        if phrase and _begins_phrase(word, phrase):
            yield phrase
            phrase = []
        phrase.append(word)
    if phrase:
        yield phrase


def _begins_phrase(word: SpokenWord, phrase: Sequence[SpokenWord]) -> bool:
    """Whether `word` begins a new phrase instead of going on with `phrase`."""
    first, last = phrase[0], phrase[-1]
    return (
        word.span.start - last.span.end >= PAUSE
        or word.span.end - first.span.start > MAX_PHRASE
        or len(_joined([*phrase, word])) > MAX_PHRASE_CHARS
        or sentence_ends(last.text, word.text)
    )


def _joined(words: Iterable[SpokenWord]) -> str:
    return " ".join(word.text for word in words)


def _segment(index: int, phrase: Sequence[SpokenWord], chunk: Chunk) -> Segment:
    first, *others = phrase
    tokens = (*first.tokens, *(token for word in others for token in word.spaced_tokens))
    span = Span(first.span.start, phrase[-1].span.end)
    return Segment(
        index=index,
        start_s=span.start_s,
        end_s=span.end_s,
        text=_joined(phrase),
        words=tuple(_word(word) for word in phrase),
        tokens=tokens,
        avg_logprob=fmean(token.log_prob for token in tokens),
        no_speech_prob=_no_speech_prob(span, chunk),
    )


def _word(word: SpokenWord) -> Word:
    return Word(word.text, word.span.start_s, word.span.end_s, math.exp(word.log_prob))


def _no_speech_prob(span: Span, chunk: Chunk) -> float:
    """1 - mean speech probability of the windows that `span` touches; 0.0 where there are none, since words are."""
    begin = chunk.heard.start // VAD_WINDOW  # windows lie on the recording's grid, not on the chunk's
    first, after = span.start // VAD_WINDOW - begin, -(-span.end // VAD_WINDOW) - begin
    windows = chunk.speech_probs[first : max(after, first + 1)]
    return min(1.0, max(0.0, 1.0 - float(windows.mean()))) if len(windows) else 0.0
