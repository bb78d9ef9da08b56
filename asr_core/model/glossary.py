"""Keywords as one model spells them, and what it hears where they are worth a bonus."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from asr_core.model.alignment import aligned
from asr_core.model.heads import RnntHead, collapsed, ctc_greedy
from asr_core.model.rnnt_search import RnntSearch, Spelled
from asr_core.model.spotting import Match, spot
from asr_core.model.tokenizer import Speller
from asr_core.model.trie import Alphabet, Entry, Trie
from asr_core.types import KeywordsSpelling, Spelling, Token

PER_LETTER, FREE, MOST = 2.0, 3, 20.0
"""Nats of bonus for each letter of a keyword with weight 1 beyond the first few, and for all of it at most. Short words
are soon mistaken for one another. Chosen with `python -m tools.demo_model.keywords --sweep`."""

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
        matches = spot(array, self.alphabet, self.trie) if self else []
        if not matches:
            return ctc_greedy(log_probs, self.alphabet.labels)
        path = array.argmax(1)
        for match in matches:
            path[match.begin : match.end] = aligned(array[match.begin : match.end], match.labels, match.last)
        chosen = torch.from_numpy(path)
        best = torch.from_numpy(array).gather(1, chosen[:, None])[:, 0]
        tokens = collapsed(chosen, best, self.alphabet.labels)
        return tuple(written(tokens, _by_tokens(matches, tokens)))

    def rnnt(self, head: RnntHead, encoded: Tensor) -> tuple[Token, ...]:
        """[T, D] → tokens of the best path in a small beam; the greedy ones where no keyword is found."""
        tokens, keywords = RnntSearch(head, self.alphabet, self.trie).decode(encoded)
        return tuple(written(tokens, keywords))


def glossary(
    keywords: Iterable[Sequence[Spelling]], alphabet: Alphabet, speller: Speller, style: KeywordsSpelling
) -> Glossary:
    """The ways to say each keyword, as labels; what the model cannot spell is left out."""
    entries = [entry for ways in keywords for way in ways for entry in _entries(way, speller, style)]
    return Glossary(alphabet, Trie(entries, SLACK), speller)


def _entries(way: Spelling, speller: Speller, style: KeywordsSpelling) -> Iterator[Entry]:
    bonus = way.weight * min(PER_LETTER * max(way.n_letters - FREE, 1), MOST)
    for text in _texts(way):
        if labels := speller(text):
            begins_sentence = text[0].isupper()  # the model's own capital, if the keyword has none
            given = way.written[0].upper() + way.written[1:] if begins_sentence else way.written
            yield Entry(labels, bonus, given if style == "original" else "")


def _texts(way: Spelling) -> Iterable[str]:
    """What the model may write for it: with its capitals and signs if it has them, as it sounds otherwise."""
    return dict.fromkeys((way.written, way.heard, way.heard.capitalize()))


def written(tokens: Sequence[Token], keywords: Sequence[Spelled]) -> Iterator[Token]:
    """The tokens, those of a keyword with the text that its entry asks for in place of what they spell."""
    at = 0
    for keyword in keywords:
        yield from tokens[at : keyword.first]
        ours = tokens[keyword.first : keyword.end]
        yield from _renamed(ours, keyword.entry.written) if keyword.entry.written else ours
        at = keyword.end
    yield from tokens[at:]


def _by_tokens(matches: Iterable[Match], tokens: Sequence[Token]) -> list[Spelled]:
    frames = [token.frame for token in tokens]
    return [Spelled(match.entry, bisect_left(frames, match.begin), bisect_left(frames, match.end)) for match in matches]


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
