"""Build the Bento's image from its own Dockerfile, and live in it: what `make image-test` does.

Where a Docker engine runs, it builds and runs the image. Elsewhere, as root on Linux, buildah builds it in chroot
isolation on a Debian made by debootstrap, and `unshare` runs it: the image's files, read-only, its user and its
entrypoint in a process and mount namespace of their own, on the host's network. That Debian's Python is 3.11, so the
image is then made for 3.11, from the ordinary package index; PIP_FIND_LINKS may name a folder with further wheels.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tools import bento
from tools.image_test.engines import Buildah, Docker, Engine, docker_runs, say

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "asr_core" / "demo" / "speech.wav"
SAMPLE_TEXT = SAMPLE.with_suffix(".txt")
READY_S = 180
STOP_S = 45
MAX_BYTES = 1_200_000_000


@contextmanager
def serving(engine: Engine, log: Path) -> Iterator[str]:
    """Yield the address of the running image; it must stop by itself on SIGTERM."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    variables = {"MODEL": "demo", "BENTOML_HOME": "/tmp/bentoml"}  # noqa: S108 - a path in the container
    with log.open("wb") as stream:
        process = engine.start(port, variables, stream.fileno())
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(process, url)
        yield url
        engine.terminate(process)
        if process.wait(STOP_S) not in {0, 128 + signal.SIGTERM, -signal.SIGTERM}:
            raise SystemExit(f"image-test: stopped with status {process.returncode}")
    except BaseException:
        print(log.read_text(errors="replace")[-8000:], file=sys.stderr)
        raise
    finally:
        process.kill()
        process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise SystemExit("image-test: the server did not become ready")


def transcribe(url: str) -> str:
    with SAMPLE.open("rb") as file:
        form = {"model": "whisper-1"}
        answer = httpx.post(f"{url}/v1/audio/transcriptions", data=form, files={"file": file}, timeout=120)
    answer.raise_for_status()
    text: str = answer.json()["text"]
    return text


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="image-test-", dir=os.environ.get("IMAGE_TEST_DIR")) as folder:
        scratch = Path(folder)
        engine: Engine = Docker() if docker_runs() else Buildah(scratch)
        try:
            say(f"building the Bento, then its image with {type(engine).__name__}")
            engine.build(bento.build(scratch / "bentoml", engine.pins))
            size = engine.size()
            say(f"the image takes {size / 1e9:.2f} GB; starting it")
            if size > MAX_BYTES:
                raise SystemExit(f"image-test: that is more than {MAX_BYTES / 1e9:.2f} GB")
            with serving(engine, scratch / "server.log") as url:
                if not httpx.get(f"{url}/health").json()["kernels"].startswith("compiled"):
                    raise SystemExit("image-test: its kernels are not in use")
                heard = transcribe(url)
                say(f"heard: {heard}")
                if heard != SAMPLE_TEXT.read_text(encoding="utf-8").strip():
                    raise SystemExit("image-test: that is not what the sample says")
            if left := engine.left_in_volume():
                raise SystemExit(f"image-test: left in the volume: {left}")
            say("ready, heard the sample, stopped on SIGTERM, left nothing behind")
        finally:
            engine.close()


if __name__ == "__main__":
    main()
