"""What `gigaam-asr doctor` looks at."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import torch

from asr_core import address
from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.cli import sample
from asr_core.cli.local import local_transcriber
from asr_core.cli.speed import layer_speeds
from asr_core.errors import AsrError, ConfigurationError, FfmpegMissing
from asr_core.model import kernels
from asr_core.model.cpu import available_cores
from asr_core.model.kernels.compiled import SWITCH
from asr_core.model.linear import has_onednn
from asr_core.model.weights import DEMO, MD5, WeightsStore, room_for
from asr_core.settings import Settings
from asr_core.types import JobOptions, Transcript

GIB = 1 << 30

INSTALL_FFMPEG = "Install the package imageio-ffmpeg, as `make install` does, or set FFMPEG to the path of an ffmpeg."


@dataclass(frozen=True, slots=True)
class Finding:
    """Something seen; `advice` says what to do about it."""

    level: Literal["good", "note", "problem"]
    about: str
    message: str
    advice: str = ""


def ffmpeg(settings: Settings) -> Iterator[Finding]:
    try:
        program = find_ffmpeg(settings.ffmpeg)
        run = subprocess.run([program, "-version"], capture_output=True, text=True, check=True, timeout=30)
    except FfmpegMissing:
        yield Finding("problem", "ffmpeg", "there is none", INSTALL_FFMPEG)
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("problem", "ffmpeg", f"does not run: {error}", INSTALL_FFMPEG)
    else:
        version = run.stdout.partition("\n")[0].partition(" Copyright")[0].removeprefix("ffmpeg ")
        yield Finding("good", "ffmpeg", f"{version}, {program}")


def build_of_torch(settings: Settings) -> Iterator[Finding]:
    instructions = torch.backends.cpu.get_cpu_capability()
    message = f"{torch.__version__}, instructions {instructions}, oneDNN {'yes' if has_onednn() else 'no'}"
    if has_onednn():
        yield Finding("good", "torch", message)
    else:
        yield Finding("note", "torch", message, "Without oneDNN the network runs at about half its speed.")


def compiled_kernels(settings: Settings) -> Iterator[Finding]:
    if kernels.are_compiled():
        yield Finding("good", "kernels", "compiled")
    elif os.environ.get(SWITCH) == "0":
        yield Finding("note", "kernels", f"torch's, since {SWITCH}=0")
    else:
        advice = "Compiled ones are faster: install a C++ compiler (Debian, Ubuntu: g++), then `make install`."
        yield Finding("note", "kernels", "torch's", advice)


def cores(settings: Settings) -> Iterator[Finding]:
    there, ours = os.cpu_count() or 1, available_cores()
    yield Finding("good", "cores", f"{ours} of {there} may be used{' (affinity or CPU quota)' if ours < there else ''}")
    if settings.num_threads > ours:
        yield Finding(
            "note",
            "NUM_THREADS",
            f"{settings.num_threads}, more than there are cores",
            "Threads that share a core slow each other down. Leave it at 0.",
        )


def precisions(settings: Settings) -> Iterator[Finding]:
    """How long one layer of the official models takes in each precision."""
    torch.set_num_threads(settings.num_threads or available_cores())
    for speed in layer_speeds():
        if speed.seconds is not None:
            yield Finding(
                "good", speed.precision, f"{1000 * speed.seconds:.1f} ms for one of the official models' layers"
            )
        elif speed.precision == settings.precision:
            yield Finding("problem", "PRECISION", speed.reason, "Set PRECISION=auto.")
        else:
            yield Finding("note", speed.precision, speed.reason)


def weights(settings: Settings) -> Iterator[Finding]:
    for name in settings.models:
        if name == "demo":
            yield _demo_model()
        elif name in MD5:
            yield _official_model(name, WeightsStore(settings.models_dir))
        elif Path(name).exists():
            yield Finding("good", "model", name)
        else:
            yield Finding("problem", "model", f"{name} is not there", "Put it there, or set MODEL to another.")


def _demo_model() -> Finding:
    if DEMO.is_file():
        advice = "It knows synthetic voices, not people: set MODEL=v3_ctc to use the server for real."
        return Finding("note", "model", "the bundled demonstration", advice)
    return Finding("problem", "model", "the bundled demonstration is not there", "Install this package again.")


def _official_model(name: str, store: WeightsStore) -> Finding:
    state = store.verify(name)
    if state == "whole":
        return Finding("good", "model", f"{name}, whole")
    if state == "missing":
        advice = f"The server downloads it when it starts. To have it now: gigaam-asr weights pull {name}"
        return Finding("note", "model", f"{name} is not in {store.path(name).parent.absolute()} yet", advice)
    advice = f"Remove {store.path(name).absolute()} and run: gigaam-asr weights pull {name}"
    return Finding("problem", "model", f"{name} is damaged", advice)


def disk(settings: Settings) -> Iterator[Finding]:
    """Room for the model that is still to be downloaded, and for as many of the largest uploads as are admitted."""
    present = WeightsStore(settings.models_dir).present()
    if needed := sum(room_for(name) for name in settings.models if not present.get(name, True)):
        yield _room("MODELS_DIR", settings.models_dir.absolute(), needed=needed, wanted=needed)
    upload = settings.max_upload_mb << 20
    scratch = settings.tmpdir or Path(tempfile.gettempdir())
    yield _room("uploads (TMPDIR)", scratch, needed=upload, wanted=settings.max_queue * upload)


def _room(about: str, folder: Path, *, needed: int, wanted: int) -> Finding:
    """Whether `folder` has the bytes that it cannot do without, and those that it may come to take."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):  # permissions alone do not tell
            free = shutil.disk_usage(existing).free
    except OSError as error:
        message = f"{folder} cannot be written to: {error.strerror or error}"
        return Finding("problem", about, message, f"Make {existing} a folder that this user may write to.")
    message = f"{folder}, {free / GIB:.1f} GiB free"
    if free < needed:
        return Finding("problem", about, message, f"Make room: it takes {needed / GIB:.1f} GiB.")
    if free < wanted:
        advice = f"MAX_QUEUE uploads of MAX_UPLOAD_MB each are {wanted / GIB:.1f} GiB: make room, or set either lower."
        return Finding("note", about, message, advice)
    return Finding("good", about, message)


def port(settings: Settings) -> Iterator[Finding]:
    about = f"port {settings.port}"
    try:
        host = address.numeric(settings.host)
        address.check_free(host, settings.port)
    except ConfigurationError as error:
        model = _server_of_ours(settings)
        if model:
            yield Finding("good", about, f"a server of ours is running there: {model}")
        else:
            yield Finding("problem", about, str(error))
    else:
        yield Finding("good", about, f"free at {settings.host}")


def _server_of_ours(settings: Settings) -> str:
    """Its model and state, if there is one where this configuration would have it; else nothing."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        answer = httpx.get(f"http://{host}:{settings.port}/health", timeout=5, trust_env=False).json()
        return f"{answer['model']}, {answer['status']}"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return ""


def recognition(settings: Settings) -> Iterator[Finding]:
    """The bundled recording, all the way: through ffmpeg, speech detection and the model, if that is here."""
    settings = settings.alone
    name = settings.model
    here = name not in MD5 or WeightsStore(settings.models_dir).present()[name]
    tried = settings if here else settings.model_copy(update={"model": "demo"})
    begin = time.perf_counter()
    try:
        transcript = asyncio.run(_recognize(tried))
    except AsrError as error:
        yield Finding("problem", "recognition", str(error), "The findings above say why, or the server's log.")
        return
    took = time.perf_counter() - begin
    message = f"{tried.model} heard “{transcript.text}” ({took:.1f} s, loading included)"
    if tried.model == "demo" and transcript.text != sample.text():
        yield Finding("problem", "recognition", message, f"It should be “{sample.text()}”. Install this package again.")
    else:
        yield Finding("good", "recognition", message)


async def _recognize(settings: Settings) -> Transcript:
    async with local_transcriber(settings, JobOptions(settings.vad), say=lambda _: None) as transcriber:
        return await transcriber.transcribe(sample.RECORDING, heard=lambda _: None)


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    ffmpeg,
    build_of_torch,
    compiled_kernels,
    cores,
    precisions,
    weights,
    disk,
    port,
    recognition,
)
