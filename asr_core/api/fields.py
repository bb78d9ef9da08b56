"""How clients write a field: its name with or without brackets, its value in any case, or something for no value."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from pydantic import BeforeValidator, ValidationError
from pydantic_core import from_json

from asr_core.errors import BadRequest

_BRACKETS = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<key>[^\[\]]*)\])?")
_NOT_GIVEN = frozenset({"", "null", "none", "undefined"})
"""What clients make of an option that is not set."""


def lower(value: Any) -> Any:
    """`SRT` → `srt`: a word that a client chose from a list may be written in any case."""
    return value.lower() if isinstance(value, str) else value


Lower = BeforeValidator(lower)


def given(text: str) -> str | None:
    """A parameter's value as a client wrote it; None if that stands for no value at all."""
    value = text.strip()
    return None if value.lower() in _NOT_GIVEN else value


def unquoted(text: str) -> str:
    """`"text"` → text: BentoML's client makes JSON of every value, of texts too."""
    with suppress(ValueError):
        if text.startswith('"') and isinstance(value := from_json(text), str):
            return value
    return text


def split(field_name: str) -> tuple[str, str]:
    """`chunking_strategy[type]` → its name and key; `include[]` and `include` have no key."""
    match = _BRACKETS.fullmatch(field_name)
    return (match["name"], match["key"] or "") if match else (field_name, "")


def bad_request(exc: ValidationError) -> BadRequest:
    """The first complaint, in the form's own words: `chunking_strategy[threshold]`."""
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    name, *inner = first["loc"]
    param = str(name) + "".join(f"[{key}]" for key in inner if isinstance(key, str))
    message = first["msg"].removeprefix("Value error, ")
    return BadRequest(f"{param}: {message}", param)
