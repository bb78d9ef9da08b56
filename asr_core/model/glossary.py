"""Keywords as one model spells them, and what it hears where they are worth a bonus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from asr_core.model.heads import collapsed, ctc_greedy
from asr_core.model.spotting import Match, aligned, spot
from asr_core.model.tokenizer import Speller
from asr_core.model.trie import Alphabet, Entry, Trie
from asr_core.types import KeywordsSpelling, Spelling, Token

PER_LETTER = 1.0
"""Nats of bonus for each letter of a keyword with weight 1; chosen with `python -m tools.demo_model.keywords`."""

MOST = 14.0
"""Nats of bonus that no keyword goes beyond, however long."""

SLACK = 6.0
"""Nats by which a path may be behind what it has earned of the bonus so far."""


@dataclass(frozen=True, slots=True)
class Glossary:
    """What to listen for; made once a request, used for each of its chunks."""

    alphabet: Alphabet
    trie: Trie
    speller: Speller

    def __bool__(self) -> bool:
        return len(self.trie) > 1

    def misses(self, ways: Iterable[Spelling]) -> bool:
        """Whether the model can spell none of the ways to say a keyword."""
        return not any(self.speller(text) for way in ways for text in _texts(way))

    def ctc(self, log_probs: Tensor) -> tuple[Token, ...]:
        """[T, V] → tokens of the best path, keywords' bonuses counted; the greedy ones where none is found."""
        array = log_probs.cpu().numpy()
        matches = spot(array, self.alphabet, self.trie)
        if not matches:
            return ctc_greedy(log_probs, self.alphabet.labels)
        path = array.argmax(1)
        for match in matches:
            path[match.begin : match.end] = aligned(array[match.begin : match.end], match.labels, self.alphabet.blank)
        chosen = torch.from_numpy(path)
        best = torch.from_numpy(array).gather(1, chosen[:, None])[:, 0]
        return tuple(written(collapsed(chosen, best, self.alphabet.labels), matches))


def glossary(
    keywords: Iterable[Sequence[Spelling]], alphabet: Alphabet, speller: Speller, style: KeywordsSpelling
) -> Glossary:
    """The ways to say each keyword, as labels; what the model cannot spell is left out."""
    entries = [entry for ways in keywords for way in ways for entry in _entries(way, speller, style)]
    return Glossary(alphabet, Trie(entries, SLACK), speller)


def _entries(way: Spelling, speller: Speller, style: KeywordsSpelling) -> Iterator[Entry]:
    bonus = way.weight * min(PER_LETTER * way.n_letters, MOST)
    for text in _texts(way):
        if labels := speller(text):
            yield Entry(labels, bonus, way.written if style == "original" else "")


def _texts(way: Spelling) -> Iterable[str]:
    """What the model may write for it: with its capitals and signs if it has them, as it sounds otherwise."""
    return dict.fromkeys((way.written, way.heard, way.heard.capitalize()))


def written(tokens: Iterable[Token], matches: Sequence[Match]) -> Iterator[Token]:
    """The tokens, those of a match with the text that its entry asks for in place of what they spell."""
    ours: dict[int, list[Token]] = {}
    in_order: list[Token | int] = []
    at = 0
    for token in tokens:
        while at < len(matches) and token.frame >= matches[at].end:
            at += 1
        inside = at < len(matches) and matches[at].begin <= token.frame and matches[at].entry.written
        if not inside:
            in_order.append(token)
        elif at in ours:
            ours[at].append(token)
        else:
            ours[at] = [token]
            in_order.append(at)
    for item in in_order:
        if isinstance(item, Token):
            yield item
        else:
            yield from _renamed(ours[item], matches[item].entry.written)


def _renamed(tokens: Sequence[Token], text: str) -> Iterator[Token]:
    """`text` in place of what the tokens spell between the spaces around it, spread evenly over them."""
    spelled = "".join(token.text for token in tokens)
    before, after = len(spelled) - len(spelled.lstrip()), len(spelled) - len(spelled.rstrip())
    text = spelled[:before] + text + spelled[len(spelled) - after :]
    if text == spelled:
        yield from tokens
        return
    ends = np.cumsum([len(token.text) for token in tokens])
    inner_old, inner_new = len(spelled) - before - after, len(text) - before - after

    def moved(place: int) -> int:
        """Where in the new text a place in the old one is."""
        if place <= before:
            return place
        return min(before + round((place - before) * inner_new / inner_old), before + inner_new) + max(
            0, place - before - inner_old
        )

    begin = 0
    for token, end in zip(tokens, map(int, ends), strict=True):
        yield replace(token, text=text[begin : moved(end)])
        begin = moved(end)
