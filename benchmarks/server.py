"""The real server in a process of its own, and a client's stopwatch."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import psutil  # type: ignore[import-untyped]  # published without types

from asr_core.configuration import as_environment
from asr_core.settings import Settings
from benchmarks.recordings import Recording

REPOSITORY = Path(__file__).resolve().parent.parent
START_S, STOP_S = 120.0, 30.0
TIMEOUT = httpx.Timeout(600.0, connect=10.0)
FORM = {"model": "whisper-1"}
DELTA = '"transcript.text.delta"'


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its address, and the process that answers."""

    url: str
    worker: int
    client: httpx.Client
    """Kept, as clients are: making one takes as long as to recognise a second of speech."""

    def transcribe(self, recording: Recording) -> float:
        """Seconds from the first byte of the upload to the last of the answer."""
        begin = time.perf_counter()
        with recording.path.open("rb") as file:
            answer = self.client.post(f"{self.url}/v1/audio/transcriptions", data=FORM, files={"file": file})
        answer.raise_for_status()
        return time.perf_counter() - begin

    def bytes_written(self) -> int:
        """To disks, by the process that answers, so far."""
        report = Path(f"/proc/{self.worker}/io").read_text(encoding="ascii")
        found = re.search(r"^write_bytes: (\d+)$", report, re.MULTILINE)
        assert found is not None
        return int(found[1])

    def wait_until_idle(self) -> None:
        """Until no transcription is in hand."""
        deadline = time.monotonic() + STOP_S
        while "asr_open_jobs 0.0" not in httpx.get(f"{self.url}/metrics").text:
            if time.monotonic() > deadline:
                raise TimeoutError("An abandoned job is still in the server's hands.")
            time.sleep(0.05)


@contextmanager
def running(checkpoint: Path, folder: Path, **settings: str) -> Iterator[Server]:
    """`bentoml serve` with `settings`, for the rest defaults whatever the environment says, while the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = folder / "server.log"
    scratch = folder / "uploads"
    scratch.mkdir(exist_ok=True)
    places = {"TMPDIR": str(scratch), "BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
    ours = {"MODEL": str(checkpoint), "HOST": "127.0.0.1", "PORT": str(port), "LOG_LEVEL": "WARNING"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", "service:GigaamAsr", "--working-dir", str(REPOSITORY)],
            cwd=REPOSITORY,
            env=os.environ | as_environment(Settings.model_construct()) | places | ours | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(process, url)
        with httpx.Client(timeout=TIMEOUT) as client:
            yield Server(url, _worker(process.pid), client)
    except BaseException:
        print(log.read_text(encoding="utf-8", errors="replace")[-4000:], file=sys.stderr)
        raise
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The server ended with status {process.returncode}.")
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError("The server was not ready in time.")


def _worker(supervisor: int) -> int:
    children: list[psutil.Process] = psutil.Process(supervisor).children(recursive=True)
    (pid,) = (child.pid for child in children if "_bentoml_impl.worker.service" in child.cmdline())
    return int(pid)


class StreamedJob:
    """A streamed transcription that goes on in the background as long as the block lasts, then is abandoned."""

    def __init__(self, server: Server, recording: Recording) -> None:
        self.first_delta: Future[float] = Future()
        """Seconds from the end of the upload to the first text."""
        self._server, self._recording = server, recording
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._leave.set()
        self._thread.join()
        self._server.wait_until_idle()

    def _run(self) -> None:
        try:
            with _Watched(io.FileIO(self._recording.path)) as file:
                self._read(file)
        except Exception as error:  # whatever it is, whoever waits for the first delta is to know
            if self.first_delta.done():
                raise
            self.first_delta.set_exception(error)

    def _read(self, file: _Watched) -> None:
        url, form = f"{self._server.url}/v1/audio/transcriptions", FORM | {"stream": "true"}
        with httpx.stream("POST", url, data=form, files={"file": file}, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if DELTA in line and not self.first_delta.done():
                    self.first_delta.set_result(time.perf_counter() - file.read_at)
                if self._leave.is_set():
                    return
        if not self.first_delta.done():
            raise RuntimeError("The stream ended without any text.")


class _Watched(io.BufferedReader):
    """A file that knows when it was last read from."""

    read_at = 0.0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.read_at = time.perf_counter()
        return data
