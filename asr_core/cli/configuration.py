"""The settings as a command's options change them, and as another process gets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr, ValidationError

from asr_core.settings import Settings


def configured(**options: Any) -> Settings:
    """Settings from the environment and .env; an option that was given (is not None) goes before them.

    Raises typer.BadParameter naming what is wrong with them.
    """
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = "_".join(map(str, first["loc"])).upper()
        raise typer.BadParameter(f"{name}: {first['msg']}" if name else first["msg"]) from error


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables that make a process with any working directory have these settings."""
    variables = {name.upper(): _written(value) for name, value in settings}
    if settings.model.endswith(".ckpt"):
        variables["MODEL"] = str(Path(settings.model).absolute())
    return variables


def _written(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, tuple | frozenset):
        return ",".join(sorted(map(_written, value)))
    return str(value)
