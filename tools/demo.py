"""What `make demo` shows: the real server, the bundled model, one recording, the real openai client."""

from __future__ import annotations

import io
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openai import OpenAI

from asr_core.configuration import as_environment
from asr_core.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
RECORDING = ROOT / "asr_core" / "demo" / "speech.wav"
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 30
LONG_S = 60


class DemoFailed(Exception):
    """The server did not do what the demo asked of it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def demo_environment(home: Path, port: int) -> dict[str, str]:
    """The process's environment, with every setting but model and address at its default, whatever .env says."""
    defaults = as_environment(Settings.model_construct())
    bentoml = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(home)}
    return {**os.environ, **defaults, **bentoml, "MODEL": "demo", "HOST": "127.0.0.1", "PORT": str(port)}


def wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise DemoFailed(f"the server exited with status {server.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):  # noqa: S310 - our own loopback address
                return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.2)
    raise DemoFailed(f"the server was not ready within {START_TIMEOUT_S} s")


@contextmanager
def running_server() -> Iterator[str]:
    """Yield the address of a server that runs as long as the block; show its log if the block fails."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as scratch, Path(scratch, "server.log").open("w+b") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", "service:GigaamAsr"],
            cwd=ROOT,
            env=demo_environment(Path(scratch), port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(server, url)
            yield url
        except BaseException:
            log.seek(0)
            print("\nThe server's log:\n" + log.read().decode(errors="replace")[-20_000:], file=sys.stderr)
            raise
        finally:
            server.terminate()
            try:
                server.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def title(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n--- {text}")


def longer(recording: Path) -> bytes:
    """A wav of at least LONG_S seconds: `recording` over and over, with a second of silence after each."""
    with wave.open(str(recording)) as source:
        rate, frames = source.getframerate(), source.readframes(source.getnframes())
        once = frames + bytes(rate * source.getsampwidth() * source.getnchannels())
        wav = io.BytesIO()
        with wave.open(wav, "wb") as target:
            target.setparams(source.getparams())
            target.writeframes(once * math.ceil(LONG_S * rate / source.getnframes()))
    return wav.getvalue()


def show_formats(client: OpenAI) -> None:
    """Print the transcript as json and as srt."""
    title('response_format="json"')
    transcription = client.audio.transcriptions.create(model="whisper-1", file=RECORDING)
    print(json.dumps(transcription.to_dict(), ensure_ascii=False, indent=2))
    if not transcription.text:
        raise DemoFailed("the transcript is empty")
    title('response_format="srt"')
    srt = client.audio.transcriptions.create(model="whisper-1", file=RECORDING, response_format="srt")
    print(str(srt).strip())


def show_stream(client: OpenAI) -> None:
    """Print the deltas of a longer recording as they arrive, with the time since the request was sent."""
    title(f"stream=True, the same over and over for {LONG_S} s: each delta on its own line, as it arrives")
    started = time.monotonic()
    heard = ""
    file = ("long.wav", longer(RECORDING))
    for event in client.audio.transcriptions.create(model="whisper-1", file=file, stream=True):
        if event.type == "transcript.text.delta":
            print(f"{time.monotonic() - started:6.2f} s  {event.delta.strip()}", flush=True)
            heard += event.delta
        elif event.type == "transcript.text.done" and event.text != heard:
            raise DemoFailed(f"the deltas spell {heard!r}, the whole text is {event.text!r}")


def main() -> int:
    title(f"Starting the server with the bundled demonstration model; then sending it {RECORDING.relative_to(ROOT)}")
    started = time.monotonic()
    try:
        with running_server() as url:
            print(f"ready at {url} after {time.monotonic() - started:.1f} s")
            client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
            show_formats(client)
            show_stream(client)
    except Exception as error:  # whatever it is, the user wants one line, after the server's log
        print(f"The demo failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    title("The server is stopped. To use it for real")
    print(
        "  make serve                 listens on port 3000 with the model v3_ctc, downloaded at the first start\n"
        "  cp .env.example .env       then edit .env: another model, a key, a port\n"
        "The demonstration model knows synthetic voices; v3_ctc and its kin know people."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
