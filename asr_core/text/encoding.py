"""PURE: objects → JSON, without keeping others waiting."""

from __future__ import annotations

import json
from typing import Any

_PIECE = 64
"""Entries of a list that are encoded in one go."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def to_json(value: Any) -> str:
    """Compact JSON on one line, without ASCII escapes; ValueError for NaN and infinities, which JSON lacks.

    An object's lists are encoded piece by piece: no other thread runs until the encoder is done with what it was given,
    and the words of ten hours in one go would keep everybody waiting.
    """
    if not isinstance(value, dict):
        return _encode(value)
    return "{" + ",".join([f"{_encode(name)}:{_in_pieces(entry)}" for name, entry in value.items()]) + "}"


def _in_pieces(value: Any) -> str:
    if not isinstance(value, list):
        return _encode(value)
    pieces = [_encode(value[start : start + _PIECE])[1:-1] for start in range(0, len(value), _PIECE)]
    return "[" + ",".join(pieces) + "]"
