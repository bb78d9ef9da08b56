"""Label ids → the surface text they stand for."""

from __future__ import annotations

from collections.abc import Iterable
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
    if tokenizer is None:
        raise CheckpointError("The checkpoint has neither a vocabulary nor a tokenizer.")
    pieces = SentencePieceProcessor()
    try:
        pieces.Load(str(tokenizer))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{tokenizer.name} is damaged or not a SentencePiece model.") from error
    return tuple(
        "" if pieces.IsControl(i) or pieces.IsUnknown(i) else pieces.IdToPiece(i).replace(_WORD_BOUNDARY, " ")
        for i in range(pieces.GetPieceSize())
    )


def languages_of(labels: Iterable[str]) -> tuple[str, ...]:
    """Codes of what a model with these labels writes: only the multilingual ones have letters of Kazakh."""
    return RUSSIAN if _KAZAKH.isdisjoint("".join(labels)) else MULTILINGUAL
