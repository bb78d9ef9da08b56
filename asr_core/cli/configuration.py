"""The settings as a command's options change them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from asr_core.configuration import misspelt_names, read_settings
from asr_core.errors import ConfigurationError
from asr_core.settings import Settings
from asr_core.types import is_path

WRONG_USAGE = 2


def configured(**options: Any) -> Settings:
    """Settings from the environment and .env; an option that was given (is not None) goes before them.

    Ends the program where they cannot be used, saying why.
    """
    try:
        settings = read_settings(**{name: value for name, value in options.items() if value is not None})
    except ConfigurationError as error:
        for line in str(error).splitlines():
            typer.echo(f"error: {line}", err=True)
        raise typer.Exit(WRONG_USAGE) from error
    for hint in misspelt_names():
        typer.echo(f"warning: {hint}", err=True)
    return settings


def require_checkpoint(settings: Settings) -> None:
    """End the program if a model's path leads nowhere: loading it would not say which folder was meant."""
    for path in map(Path, filter(is_path, settings.models)):
        if not path.exists():
            typer.echo(f"error: There is no weights file {path.absolute()}.", err=True)
            raise typer.Exit(1)
