"""Reading the settings: one line for each that cannot be used, and a word about names that are almost ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import DotEnvSettingsSource

from asr_core.errors import ConfigurationError
from asr_core.settings import Settings
from asr_core.types import is_path

NAMES = tuple(name.upper() for name in Settings.model_fields)

_WORD = re.compile(r"[\w.:/+-]{1,60}")
_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a name or an address",
}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_RESEMBLANCE = 0.8
"""Of two names, 0..1, as difflib has it: MAX_QUEU is MAX_QUEUE, HOSTNAME is not HOST."""


def read_settings(**options: Any) -> Settings:
    """Settings from the environment and from the `.env` of this folder; `options` go before both.

    Raises ConfigurationError.
    """
    try:
        return Settings(**options)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f".env cannot be read: {reason}") from None
    # Not within the handler: no traceback is to lead to what pydantic was given.
    raise ConfigurationError("\n".join(map(_sentence, faults)))


def misspelt_names() -> Iterator[str]:
    """A sentence for each variable, here or in `.env`, that is no setting and looks like one."""
    for place, names in ((".env", DotEnvSettingsSource(Settings).env_vars), ("the environment", os.environ)):
        for name in sorted({name.upper() for name in names} - {*NAMES}):
            if similar := get_close_matches(name, NAMES, n=1, cutoff=_RESEMBLANCE):
                yield f"{name} in {place} has no effect: is {similar[0]} meant?"


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables that make a process with any working directory have these settings."""
    variables = {name.upper(): _written(value) for name, value in settings}
    variables["MODEL"] = ",".join(str(Path(m).absolute()) if is_path(m) else m for m in settings.models)
    return variables


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, tuple | frozenset):
        return ",".join(sorted(map(_written, value)))
    return str(value)


def _sentence(fault: ErrorDetails) -> str:
    """What is wrong with a setting, as `PORT=70000: takes a whole number from 1 to 65535`."""
    ours = fault.get("ctx", {}).get("error")  # what a validator of ours had to say
    if not fault["loc"]:
        return str(ours or fault["msg"])
    name = str(fault["loc"][0])
    return f"{_shown(name, fault['input'])}: {ours or f'takes {_allowed(name)}'}"


def _shown(name: str, value: Any) -> str:
    """The setting as it is written. A value is shown only if it is one word: else a key may have got into it."""
    if name == "api_key":
        return "API_KEY"
    text = str(value)
    return f"{name.upper()}={text}" if not text or _WORD.fullmatch(text) else name.upper()


def _allowed(name: str) -> str:
    """What a setting takes, by its type and bounds."""
    field = Settings.model_fields[name]
    if get_origin(field.annotation) is Literal:
        return ", ".join(get_args(field.annotation))
    bounds = (
        f"{word} {limit}"
        for bound in field.metadata
        for kind, word in _BOUNDS.items()
        if (limit := getattr(bound, kind, None)) is not None
    )
    return ", ".join([_KINDS.get(field.annotation, "something else"), *bounds])
