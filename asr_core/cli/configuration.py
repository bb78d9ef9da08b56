"""The settings as a command's options change them."""

from __future__ import annotations

from typing import Any

import typer
from pydantic import ValidationError

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
