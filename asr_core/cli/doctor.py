"""`gigaam-asr doctor`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from asr_core.cli.configuration import configured

_STYLE = {"good": "[green]✓[/]", "note": "[yellow]![/]", "problem": "[red]✗[/]"}


def doctor(
    model: Annotated[str | None, typer.Option(help="v3_ctc, …, demo or a .ckpt file, instead of MODEL.")] = None,
) -> None:
    """Look at this machine and this configuration, and say what to do about what is found.

    ✓ good, ! worth knowing, ✗ has to be mended before the server works. Exit code 1 if there is any of the last.
    """
    from asr_core.cli import checks  # noqa: PLC0415 - torch takes seconds to import

    console = Console(highlight=False, soft_wrap=True)
    settings = configured(model=model)
    n_problems = 0
    for check in checks.CHECKS:
        for finding in check(settings):
            n_problems += finding.level == "problem"
            console.print(f"{_STYLE[finding.level]} [bold]{finding.about}[/]: {escape(finding.message)}")
            if finding.advice:
                console.print(f"    {escape(finding.advice)}")
    console.print("Nothing is in the way." if not n_problems else f"{n_problems} to mend.")
    raise typer.Exit(1 if n_problems else 0)
