"""Label ids → the surface text they stand for, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from asr_core.errors import CheckpointError
from asr_core.types import MULTILINGUAL, RUSSIAN

_KAZAKH = frozenset("әғқңөұүһі")

_WORD_BOUNDARY = "\u2581"  # SentencePiece writes the space before a word so


def vocabulary(characters: list[str] | None, tokenizer: Path | None) -> tuple[str, ...]:
    """Surface text of every label but the blank, which comes after the last.

    Characters stand for themselves. Of SentencePiece's labels, control symbols spell nothing.
    """
    if characters is not None:
        return tuple(characters)
    pieces = _read(tokenizer)
    return tuple(
        "" if pieces.IsControl(i) or pieces.IsUnknown(i) else pieces.IdToPiece(i).replace(_WORD_BOUNDARY, " ")
        for i in range(pieces.GetPieceSize())
    )


Speller = Callable[[str], tuple[int, ...]]
"""Words → the labels that spell them, from a space before the first; none if the model has no labels for them."""


def speller(characters: Sequence[str] | None, tokenizer: Path | None) -> Speller:
    """What spells for the model whose `vocabulary` is of the same `characters` or `tokenizer`."""
    if characters is not None:
        ids = {character: label for label, character in enumerate(characters)}

        def by_character(text: str) -> tuple[int, ...]:
            spelled = [ids.get(character) for character in f" {text}"]
            return tuple(label for label in spelled if label is not None) if None not in spelled else ()

        return by_character
    pieces = _read(tokenizer)

    def by_piece(text: str) -> tuple[int, ...]:
        spelled = pieces.EncodeAsIds(text)
        return () if pieces.unk_id() in spelled else tuple(spelled)

    return by_piece


def _read(tokenizer: Path | None) -> SentencePieceProcessor:
    if tokenizer is None:
        raise CheckpointError("The checkpoint has neither a vocabulary nor a tokenizer.")
    pieces = SentencePieceProcessor()
    try:
        pieces.Load(str(tokenizer))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{tokenizer.name} is damaged or not a SentencePiece model.") from error
    return pieces


def languages_of(labels: Iterable[str]) -> tuple[str, ...]:
    """Codes of what a model with these labels writes: only the multilingual ones have letters of Kazakh."""
    return RUSSIAN if _KAZAKH.isdisjoint("".join(labels)) else MULTILINGUAL
