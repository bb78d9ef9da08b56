"""`gigaam-asr`: transcribe recordings, run the server, look after weights and the machine."""

from __future__ import annotations

import os

import typer

from asr_core.cli import bench, doctor, live, serve, transcribe, weights
from asr_core.runtime import prepare

app = typer.Typer(
    name="gigaam-asr",
    help=__doc__,
    epilog="Settings come from the environment and from .env, as the server's do: MODEL, PRECISION, MODELS_DIR, …",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(transcribe.transcribe)
app.command()(live.live)
app.command()(serve.serve)
app.add_typer(weights.app, name="weights")
app.command()(bench.bench)
app.command()(doctor.doctor)


def main() -> None:
    """Entry point of the console script."""
    prepare(os.environ)
    app()
