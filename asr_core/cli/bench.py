"""`gigaam-asr bench`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from asr_core.cli.configuration import configured, require_checkpoint
from asr_core.errors import ModelError, PrecisionUnsupported

LENGTHS_S = (2, 20)
"""A voice note, and a chunk of a long recording."""


def bench(
    model: Annotated[str | None, typer.Option(help="v3_ctc, …, demo or a .ckpt file, instead of MODEL.")] = None,
) -> None:
    """Measure how fast the model is on this machine, in each precision that it has.

    Seconds of sound recognised in a second, one recording at a time, without decoding. The demo model is many times
    smaller than the official ones and says nothing about their speed. In a checkout, `make bench` measures much more.
    """
    from asr_core.cli import sample  # noqa: PLC0415 - torch takes seconds to import
    from asr_core.cli.speed import PRECISIONS, real_time_factor  # noqa: PLC0415
    from asr_core.model.recognizer import load_recognizer  # noqa: PLC0415
    from asr_core.types import SAMPLE_RATE  # noqa: PLC0415

    settings = configured(model=model)
    require_checkpoint(settings)
    table = Table("Precision", *(f"{seconds} s at a time" for seconds in LENGTHS_S), box=None)
    try:
        for precision in PRECISIONS:
            try:
                recognizer = load_recognizer(
                    settings.model,
                    precision=precision,
                    device=settings.device,
                    threads=settings.num_threads or None,
                    models_dir=settings.models_dir,
                )
            except PrecisionUnsupported as error:
                table.add_row(precision, str(error))
                continue
            speeds = (1 / real_time_factor(recognizer, sample.waveform(s * SAMPLE_RATE)) for s in LENGTHS_S)
            table.add_row(precision, *(f"{speed:.1f}×" for speed in speeds))
    except ModelError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    Console().print(f"{settings.model} on {recognizer.device}, sound per computing time:", table, sep="\n")
