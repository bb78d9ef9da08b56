"""From what a request says of its recording to what the model listens for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from asr_core.engine.compute import Workers
from asr_core.model.glossary import Glossary
from asr_core.text.keywords import prompted, spellings
from asr_core.types import Hints, Keyword

log = logging.getLogger(__name__)

N_KEPT = 8
"""Glossaries of the latest requests: many are the server's own, or one client's list."""

MOST_TOLD = 5
"""Keywords that a warning names."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What a job listens for, and what its client is to know of that."""

    glossary: Glossary | None = None
    warnings: tuple[str, ...] = ()


class Glossaries:
    """Makes glossaries for the models that `workers` have, and keeps the latest.

    `always` is listened for in every recording.
    """

    def __init__(self, workers: Workers, always: Sequence[Keyword]) -> None:
        self._workers = workers
        self._always = tuple(always)
        self._make = lru_cache(N_KEPT)(self._uncached)

    async def find(self, model: str, hints: Hints) -> Listening:
        """What `model` is to listen for; nothing, at no cost, where nobody has said anything."""
        if not (hints.keywords or hints.prompt or self._always):
            return Listening()
        # Not on a worker, which may have seconds of work before it.
        return await asyncio.to_thread(self._make, model, hints)

    def _uncached(self, model: str, hints: Hints) -> Listening:
        recognizer = self._workers.recognizers[model]
        if not recognizer.hears_keywords:
            return Listening(warnings=_in_vain(hints))
        asked = {keyword.text.casefold(): keyword for keyword in reversed((*hints.keywords, *self._always))}
        named = [keyword for keyword in prompted(hints.prompt) if keyword.text.casefold() not in asked]
        keywords = [*asked.values(), *named]
        ways = {keyword.text: spellings(keyword) for keyword in keywords}
        glossary = recognizer.glossary([*ways.values()], hints.spelling)
        unspelled = {text for text, said in ways.items() if glossary.misses(said)}
        if ours := unspelled & {keyword.text for keyword in self._always}:
            log.warning("KEYWORDS_FILE: the model has no letters for %s", _listed(ours))
        unspelled &= {keyword.text for keyword in hints.keywords}
        return Listening(glossary if glossary else None, tuple(_warnings(hints, unspelled, named)))


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
