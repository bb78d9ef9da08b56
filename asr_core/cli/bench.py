"""`gigaam-asr bench`."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from asr_core.cli.configuration import configured, require_checkpoint
from asr_core.cli.older import ENVIRONMENTS, Cpu
from asr_core.errors import ModelError, PrecisionUnsupported

NOTE_S, CHUNK_S = 2, 20
"""A voice note, and a chunk of a long recording."""
N_CHUNKS = 4

CASES = (  # seconds, pieces at once, busy neighbours
    (f"{NOTE_S} s alone", NOTE_S, 1, 0),
    (f"{CHUNK_S} s alone", CHUNK_S, 1, 0),
    (f"{N_CHUNKS} × {CHUNK_S} s at once", CHUNK_S, N_CHUNKS, 0),
    ("the same beside a busy program", CHUNK_S, N_CHUNKS, 1),
    ("beside three", CHUNK_S, N_CHUNKS, 3),
)


def bench(
    model: Annotated[str | None, typer.Option(help="v3_ctc, …, demo or a .ckpt file, instead of MODEL.")] = None,
    imitate: Annotated[
        Cpu | None, typer.Option(help="Compute as an older processor does: without AVX512, or AVX.")
    ] = None,
) -> None:
    """Measure how fast the model is on this machine, in each precision that it has.

    Seconds of sound recognised in a second, without decoding: of a recording that is alone, of several at once, and of
    these beside programs that compute without end, which end with this one. The demo model is many times smaller than
    the official ones and says nothing about their speed. In a checkout, `make bench` measures much more.
    """
    if imitate:
        os.environ |= ENVIRONMENTS[imitate]  # torch reads it when it is imported
    from asr_core.cli.speed import PRECISIONS, neighbours, real_time_factor  # noqa: PLC0415 - torch takes seconds
    from asr_core.model.recognizer import load_recognizer  # noqa: PLC0415

    settings = configured(model=model).alone
    require_checkpoint(settings)
    table = Table("Precision", *(name for name, *_ in CASES), box=None)
    try:
        for precision in PRECISIONS:
            try:
                recognizer = load_recognizer(
                    settings.model,
                    precision=precision,
                    device=settings.device,
                    threads=settings.num_threads or None,
                    models_dir=settings.models_dir,
                    models_url=settings.models_url,
                )
            except PrecisionUnsupported as error:
                table.add_row(precision, str(error))
                continue
            speeds = []
            for _, seconds, n_pieces, n_neighbours in CASES:
                with neighbours(n_neighbours):
                    speeds.append(1 / real_time_factor(recognizer, seconds, n_pieces))
            table.add_row(precision, *(f"{speed:.1f}×" for speed in speeds))
    except ModelError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    device = f"{recognizer.device}, imitating {imitate}" if imitate else recognizer.device
    Console().print(f"{settings.model} on {device}, sound per computing time:", table, sep="\n")
