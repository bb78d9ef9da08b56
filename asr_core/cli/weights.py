"""`gigaam-asr weights`: list, pull, verify."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from asr_core.cli.configuration import configured, require_checkpoint
from asr_core.errors import ModelError

app = typer.Typer(
    help="Weights of the official models, in MODELS_DIR: what is there, download, check.", no_args_is_help=True
)

Folder = Annotated[Path | None, typer.Option("--models-dir", help="Instead of MODELS_DIR.")]


@app.command("list")
def list_(models_dir: Folder = None) -> None:
    """Show the official models and which of them are here."""
    from asr_core.model.weights import WeightsStore  # noqa: PLC0415 - slow to import

    folder = configured(models_dir=models_dir).models_dir
    store = WeightsStore(folder)
    table = Table("Model", "In this folder", "Size", box=None)
    for name, present in store.present().items():
        size = f"{store.path(name).stat().st_size / 2**20:.0f} MiB" if present else ""
        table.add_row(name, "yes" if present else "no", size)
    table.add_row("demo", "bundled", "")
    Console().print(folder.absolute(), table, sep="\n")


@app.command()
def pull(
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODELS...]", help="Instead of MODEL.")] = None,
    models_dir: Folder = None,
) -> None:
    """Download models; one that is here already is left as it is. An interrupted download goes on where it stopped."""
    from asr_core.model.weights import BASE_URL, WeightsStore, resolve  # noqa: PLC0415 - slow to import

    settings = configured(models_dir=models_dir)
    store = WeightsStore(settings.models_dir, settings.models_url or BASE_URL)
    with _download_bars() as progress:
        for name in models or settings.models:
            require_checkpoint(settings.model_copy(update={"model": name}))
            with _failing():
                path = resolve(name, store, progress)
            print(path)


@app.command()
def verify(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODELS...]", help="Instead of all that are here.")
    ] = None,
    models_dir: Folder = None,
) -> None:
    """Read models' files and compare their checksums. Exit code 1 if one is missing or damaged."""
    from asr_core.model.weights import WeightsStore  # noqa: PLC0415 - slow to import

    store = WeightsStore(configured(models_dir=models_dir).models_dir)
    names = models or [name for name, present in store.present().items() if present]
    if not names:
        print("There are no weights to verify.")
    with _failing():
        found = {name: store.verify(name) for name in names}
    for name, state in found.items():
        print(f"{name}: {_ADVICE[state].format(name=name, path=store.path(name))}")
    raise typer.Exit(any(state != "whole" for state in found.values()))


_ADVICE = {
    "whole": "whole",
    "missing": "missing; get it with: gigaam-asr weights pull {name}",
    "damaged": "DAMAGED; remove {path} and get it again with: gigaam-asr weights pull {name}",
}


@contextmanager
def _failing() -> Iterator[None]:
    """Scope whose ModelError is shown and ends the program."""
    try:
        yield
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from error


@contextmanager
def _download_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """Something to tell how far each file is: bars where somebody can see them, elsewhere the log's own lines."""
    console = Console(stderr=True)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("asr_core.model").setLevel(logging.WARNING if console.is_terminal else logging.INFO)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as display:

        def show(file: str, done: int, total: int | None) -> None:
            if file not in bars:
                bars[file] = display.add_task(file)
            display.update(bars[file], completed=done, total=total)

        yield show
