"""Servers as users run them: `bentoml serve` in a process of its own, on a free port of the loopback interface."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bentoml
import httpx
import psutil  # type: ignore[import-untyped]  # comes with bentoml, its types do not
import pytest
from hypothesis import HealthCheck, settings

from asr_core.audio.ffmpeg import find_ffmpeg
from tests.processes import below, decoders

# How long an example takes says more about the machine than about the code.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

REPOSITORY = Path(__file__).parent.parent
DEMO = REPOSITORY / "asr_core" / "demo"
START_S = 60.0
"""A worker imports torch and loads a model; a busy machine takes its time over it."""


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Poll `condition` until it holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s"
        time.sleep(0.02)


@dataclass(frozen=True)
class Server:
    """A running server, seen from outside."""

    port: int
    process: psutil.Process
    scratch: Path
    """Its TMPDIR."""
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, timeout=30)

    def metric(self, name: str) -> float:
        """The current value of a metric, with its labels as Prometheus writes them; 0 before it is first set."""
        match = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics").text, re.MULTILINE)
        return float(match[1]) if match else 0.0

    @property
    def worker(self) -> psutil.Process:
        """The process that answers, below the one that supervises it."""
        return below(self.process, command="_bentoml_impl.worker.service")[0]

    @property
    def leftovers(self) -> list[str]:
        """What requests have for the time that they last: uploads, ffmpeg processes, slots."""
        uploads = [path.name for path in self.scratch.glob("asr-uploads-*/*")]
        tools = ["ffmpeg" for _ in decoders(self.worker)]
        return uploads + tools + ["slot"] * int(self.metric("asr_open_jobs"))

    def wait_until_clean(self) -> None:
        """Wait until no request has anything any more."""
        wait_until(lambda: not self.leftovers, "a server without leftovers")


@contextmanager
def bentoml_client(server: Server, key: str | None = None) -> Iterator[bentoml.SyncHTTPClient]:
    """BentoML's own client."""
    with bentoml.SyncHTTPClient(server.url, token=key, timeout=60) as client:
        yield client
    client._temp_dir.cleanup()  # which it leaves to the garbage collector, with a warning


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running_server(directory: Path, *, ready: bool = True, **settings: str) -> Iterator[Server]:
    """A server with `settings` as environment variables; `ready` waits for its model, not only for its port."""
    port, scratch, log = free_port(), directory / "tmp", directory / "log"
    scratch.mkdir()
    defaults = {"MODEL": "demo", "PRECISION": "fp32", "HOST": "127.0.0.1", "PORT": str(port), "API_KEY": ""}
    places = {"TMPDIR": str(scratch), "BENTOML_HOME": str(directory / "bentoml")}
    command = [sys.executable, "-m", "bentoml", "serve", "service:GigaamAsr", "--timeout-graceful-shutdown", "5"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=os.environ | defaults | places | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(port, psutil.Process(process.pid), scratch, log)
    try:
        wait_until(lambda: _answers(server, "/readyz" if ready else "/livez"), f"a server\n{log.read_text()}", START_S)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def _answers(server: Server, path: str) -> bool:
    try:
        return server.get(path).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the demo model and room for two jobs."""
    with running_server(tmp_path_factory.mktemp("server"), MAX_QUEUE="2") as running:
        yield running


@pytest.fixture(scope="session")
def speech() -> Path:
    """The demo's recording."""
    return DEMO / "speech.wav"


@pytest.fixture(scope="session")
def spoken_text() -> str:
    """What is said in it."""
    return (DEMO / "speech.txt").read_text().strip()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    """Its first sound track is silent, the others are not."""
    path = tmp_path_factory.mktemp("recordings") / "film.mkv"
    inputs = ["-f", "lavfi", "-i", "anullsrc=r=16000:d=21", "-i", str(speech), "-i", str(speech)]
    tracks = ["-map", "0", "-map", "1", "-map", "2", "-c:a", "flac"]
    subprocess.run([find_ffmpeg(), "-v", "error", *inputs, *tracks, str(path)], check=True)
    return path


@pytest.fixture(scope="session")
def long_recording(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    """An hour of it: longer than any test waits for."""
    path = tmp_path_factory.mktemp("recordings") / "long.flac"
    source = ["-stream_loop", "-1", "-i", str(speech), "-t", "3600"]
    subprocess.run([find_ffmpeg(), "-v", "error", *source, str(path)], check=True)
    return path
