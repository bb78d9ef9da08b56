"""PURE: objects → JSON, without keeping others waiting."""

from __future__ import annotations

import json
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def to_json(value: Any) -> str:
    """Compact JSON on one line, without ASCII escapes; ValueError for NaN and infinities, which JSON lacks.

    An object's lists are encoded entry by entry: no other thread runs until the encoder is done with what it was given,
    and the words of ten hours in one go would keep everybody waiting.
    """
    if not isinstance(value, dict):
        return _encode(value)
    return "{" + ",".join([f"{_encode(name)}:{_entries(entry)}" for name, entry in value.items()]) + "}"


def _entries(value: Any) -> str:
    return "[" + ",".join([_encode(entry) for entry in value]) + "]" if isinstance(value, list) else _encode(value)
