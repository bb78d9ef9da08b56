"""PURE: segments that wait for the recording's end, in little memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asr_core.types import Segment, Token, Word

Times = NDArray[np.float64]
"""Where words begin and end, seconds: [W, 2]."""

_TOKEN = np.dtype([("length", np.uint16), ("frame", np.int32), ("log_prob", np.float64)])


@dataclass(frozen=True, slots=True)
class HeldSegment:
    """A segment whose words and tokens are numbers: what they spell is its text. As objects they take five times as
    much."""

    _bare: Segment
    _words: NDArray[np.float64]
    """Start and end, s, and probability: [W, 3]."""
    _tokens: NDArray[np.void]

    @classmethod
    def of(cls, segment: Segment) -> HeldSegment:
        words = [(word.start_s, word.end_s, word.probability) for word in segment.words]
        tokens = [(len(token.text), token.frame, token.log_prob) for token in segment.tokens]
        return cls(replace(segment, words=(), tokens=()), np.array(words).reshape(-1, 3), np.array(tokens, _TOKEN))

    @property
    def times(self) -> Times:
        return self._words[:, :2]

    @property
    def segment(self) -> Segment:
        """The segment as it was."""
        text, at = self._bare.text, 0
        words = [Word(word, *numbers) for word, numbers in zip(text.split(" "), self._words.tolist(), strict=True)]
        tokens = []
        for length, frame, log_prob in self._tokens.tolist():
            tokens.append(Token(text[at : at + length], frame, log_prob))
            at += length
        return replace(self._bare, words=tuple(words), tokens=tuple(tokens))
