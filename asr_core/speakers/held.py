"""PURE: segments that wait for the recording's end, in little memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asr_core.types import Segment, Token, Word

_TOKEN = np.dtype([("length", np.uint16), ("frame", np.int32), ("log_prob", np.float64)])


@dataclass(frozen=True, slots=True)
class HeldSegment:
    """A segment whose tokens are numbers: what they spell is its text. As objects they take seven times as much."""

    _bare: Segment
    _tokens: NDArray[np.void]

    @classmethod
    def of(cls, segment: Segment) -> HeldSegment:
        tokens = [(len(token.text), token.frame, token.log_prob) for token in segment.tokens]
        return cls(replace(segment, tokens=()), np.array(tokens, _TOKEN))

    @property
    def words(self) -> tuple[Word, ...]:
        return self._bare.words

    @property
    def segment(self) -> Segment:
        """The segment as it was."""
        tokens, at = [], 0
        for length, frame, log_prob in self._tokens.tolist():
            tokens.append(Token(self._bare.text[at : at + length], frame, log_prob))
            at += length
        return replace(self._bare, tokens=tuple(tokens))
