"""`gigaam-asr serve`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import asr_core

HOME = Path(asr_core.__file__).parent.parent
"""Where service.py is: beside asr_core, in a checkout as in an installation."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of PORT.")] = None,
    model: Annotated[str | None, typer.Option(help="v3_ctc, …, demo or a .ckpt file, instead of MODEL.")] = None,
) -> None:
    """Run the server: OpenAI's transcription API, until it is told to stop.

    Everything else is set in the environment or in .env. The port answers at once; GET /readyz says when the model is
    there, after it was downloaded if need be.
    """
    given = {
        name: str(value) for name, value in {"HOST": host, "PORT": port, "MODEL": model}.items() if value is not None
    }
    environment = os.environ | given | {"BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-m", "bentoml", "serve", "service:GigaamAsr", "--working-dir", str(HOME)]
    os.execve(sys.executable, command, environment)  # noqa: S606 - this process becomes the server
