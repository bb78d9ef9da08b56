"""PURE: words of an utterance that is heard again and again → words that will not be taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

WordT = TypeVar("WordT")


class Agreement(Generic[WordT]):
    """What has been said of one utterance, and what is certain enough to be said next.

    A word is said once two hearings in a row agree on it and on all before it, and it is not the newest one, which may
    be cut in its middle. What was said stays, also where a later hearing sees it otherwise.
    """

    def __init__(self, spelling: Callable[[WordT], str], said: Sequence[WordT] = ()) -> None:
        """`said` are words at the beginning of the utterance that have been said already."""
        self._spelling = spelling
        self._previous: Sequence[WordT] = ()
        self.said = list(said)
        self.contradicted = False
        """Whether the last word on the utterance differs from what was said before it."""

    def push(self, words: Sequence[WordT]) -> list[WordT]:
        """Take one more hearing's words, of all that the utterance is so far; give those to say."""
        expected, rest = self._beyond(self._previous), self._beyond(words)
        self._previous = words
        n = 0
        while n < min(len(expected), len(rest) - 1) and self._spelling(expected[n]) == self._spelling(rest[n]):
            n += 1
        self.said += rest[:n]
        return list(rest[:n])

    def finish(self, words: Sequence[WordT]) -> list[WordT]:
        """Take the hearing of the whole utterance; give the words that are left to say."""
        rest = list(self._beyond(words))
        heard = self._spelled(words)
        self.contradicted = heard[: len(self.said)] != self._spelled(self.said)
        self.said += rest
        return rest

    def _beyond(self, words: Sequence[WordT]) -> Sequence[WordT]:
        """What of `words` comes after what was said: after those of them that are most like it."""
        return words[alike(self._spelled(self.said), self._spelled(words)) :]

    def _spelled(self, words: Sequence[WordT]) -> list[str]:
        return [self._spelling(word) for word in words]


def alike(said: Sequence[str], words: Sequence[str]) -> int:
    """How many of `words`, from the first, are most like all of `said`: by the least edits, then the nearest number."""
    if list(words[: len(said)]) == list(said):
        return len(said)
    edits = list(range(len(words) + 1))  # from the words of `said` so far to the first 0, 1, … of `words`
    for n, word in enumerate(said, 1):
        before, edits = edits, [n]
        for k, other in enumerate(words, 1):
            edits.append(min(before[k] + 1, edits[-1] + 1, before[k - 1] + (word != other)))
    return min(range(len(edits)), key=lambda k: (edits[k], abs(k - len(said))))
