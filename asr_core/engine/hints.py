"""From what a request says of its recording to what the model listens for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from asr_core.model.glossary import Glossary
from asr_core.model.recognizer import Recognizer
from asr_core.text.keywords import prompted, spellings
from asr_core.types import Hints, Keyword

log = logging.getLogger(__name__)

N_KEPT = 8
"""Glossaries of the latest requests: many are the server's own, or one client's list."""

MOST_TOLD = 5
"""Keywords that a warning names."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Which model hears a job, what it listens for, and what the job's client is to know of that."""

    recognizer: Recognizer
    glossary: Glossary | None = None
    warnings: tuple[str, ...] = ()


class Glossaries:
    """Makes glossaries for `recognizer`, and keeps the latest.

    `always` is listened for in every recording.
    """

    def __init__(self, recognizer: Recognizer, always: Sequence[Keyword]) -> None:
        self.recognizer = recognizer
        self._always = tuple(always)
        # Of no method of this object: they would hold each other, and a model that is dropped is to be gone at once.
        self._make = lru_cache(N_KEPT)(partial(_listening, recognizer, self._always))

    async def find(self, hints: Hints) -> Listening:
        """What the model is to listen for; nothing, at no cost, where nobody has said anything."""
        if not (hints.keywords or hints.prompt or self._always):
            return Listening(self.recognizer)
        # Not on a worker, which may have seconds of work before it.
        return await asyncio.to_thread(self._make, hints)


def _listening(recognizer: Recognizer, always: Sequence[Keyword], hints: Hints) -> Listening:
    if not recognizer.hears_keywords:
        return Listening(recognizer, warnings=_in_vain(hints))
    asked = {keyword.text.casefold(): keyword for keyword in reversed((*hints.keywords, *always))}
    named = [keyword for keyword in prompted(hints.prompt) if keyword.text.casefold() not in asked]
    keywords = [*asked.values(), *named]
    ways = {keyword.text: spellings(keyword) for keyword in keywords}
    glossary = recognizer.glossary([*ways.values()], hints.spelling)
    unspelled = {text for text, said in ways.items() if glossary.misses(said)}
    if ours := unspelled & {keyword.text for keyword in always}:
        log.warning("KEYWORDS_FILE: the model has no letters for %s", _listed(ours))
    unspelled &= {keyword.text for keyword in hints.keywords}
    return Listening(recognizer, glossary if glossary else None, tuple(_warnings(hints, unspelled, named)))


def _in_vain(hints: Hints) -> tuple[str, ...]:
    given = [name for name, value in (("keywords", hints.keywords), ("prompt", hints.prompt)) if value]
    return tuple(f"`{name}` had no effect: with ENGINE=gigaam an RNN-T hears no keywords." for name in given)


def _listed(texts: Collection[str]) -> str:
    more = f" and {len(texts) - MOST_TOLD} more" if len(texts) > MOST_TOLD else ""
    return ", ".join(sorted(texts)[:MOST_TOLD]) + more


def _warnings(hints: Hints, unspelled: Collection[str], named: Sequence[Keyword]) -> list[str]:
    said = []
    if unspelled:
        said.append(f"`keywords`: the model has no letters for {_listed(unspelled)}, which had no effect.")
    if hints.prompt and not named:
        said.append("`prompt` had no effect: it has no names or unknown words that `keywords` has not.")
    return said
