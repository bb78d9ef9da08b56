"""The other commands, and what wrong usage is told."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import EntryPoint
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from asr_core.cli import app, checks, main
from asr_core.settings import Settings
from tests.cli.conftest import COMMAND, Run, environment
from tests.conftest import REPOSITORY, Server, free_port, wait_until


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["a.mp3", "--words"], "--words belongs to --format verbose_json"),
        (["-", "a.mp3"], "Standard input comes alone"),
        (["-", "-o", "texts"], "Standard input comes alone"),
        (["-o", "-", "a.mp3", "-f", "srt", "-f", "vtt"], "Standard output takes one --format"),
        (["a.mp3", "--server", "http://nas:3000", "--model", "v3_ctc"], "--server has its own model"),
        (["x/a.mp3", "y/a.mp3", "-o", "texts"], "would both be written to texts/a.txt"),
        (["a.mp3", "--model", "v9"], "error: MODEL=v9: takes v3_ctc, "),
        (["a.mp3", "--format", "docx"], "docx is none of json, text, "),
        (["a.mp3", "--keywords-file", "missing.txt"], "--keywords-file missing.txt: cannot be read"),
        (["a.mp3", "--keywords", "x" * 101], "is longer than 100 characters"),
        (["a.mp3", "--ray", "auto"], "--ray takes HOST:PORT"),
        (["a.mp3", "--server", "nas", "--api-key", "se\nsame"], "--api-key has a character"),
    ],
)
def test_wrong_usage_is_explained_before_anything_is_done(arguments: list[str], complaint: str) -> None:
    result = CliRunner(env={"COLUMNS": "300", "TERMINAL_WIDTH": "300"}).invoke(app, ["transcribe", *arguments])
    assert result.exit_code == 2
    assert complaint in result.output


def test_the_installed_program_is_this_one() -> None:
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert EntryPoint("gigaam-asr", scripts["gigaam-asr"], "console_scripts").load() is main


def test_help_does_not_wait_for_torch_or_bentoml() -> None:
    check = "import sys, asr_core.cli; sys.exit(not {'torch', 'bentoml', 'ray'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], cwd=REPOSITORY, check=False).returncode == 0


def test_doctor_is_content_with_a_machine_that_works(run: Run, spoken_text: str) -> None:
    done = run("doctor", PORT=str(free_port()))
    assert done.returncode == 0, done.stdout
    assert f"demo heard “{spoken_text}”" in done.stdout
    assert "✗" not in done.stdout


def test_speech_detection_that_cannot_be_loaded_is_told(run: Run, speech: Path, tmp_path: Path) -> None:
    (package := tmp_path / "packages" / "silero_vad").mkdir(parents=True)
    (package / "__init__.py").touch()  # without weights
    path = os.pathsep.join((str(package.parent), str(REPOSITORY)))
    transcribed = run("transcribe", "--output-dir", "-", speech, PYTHONPATH=path)
    assert (transcribed.returncode, transcribed.stdout) == (1, "")
    assert "silero-vad" in transcribed.stderr
    examined = run("doctor", PYTHONPATH=path, PORT=str(free_port()))
    assert examined.returncode == 1
    assert "silero-vad" in examined.stdout


@pytest.mark.parametrize(("admitted", "level"), [(1, "good"), (8, "note")])
def test_doctor_looks_for_room_for_all_the_uploads_that_are_admitted(admitted: int, level: str, tmp_path: Path) -> None:
    half = shutil.disk_usage(tempfile.gettempdir()).free // 2**21
    (uploads,) = checks.disk(Settings(models_dir=tmp_path, model="demo", max_queue=admitted, max_upload_mb=half))
    assert uploads.level == level
    assert ("MAX_QUEUE" in uploads.advice) == (level == "note")


@pytest.mark.parametrize("models_dir", ["file", "file/models", "/proc/models"])
def test_doctor_does_not_take_a_folder_for_usable_that_cannot_be_written(models_dir: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder, _ = checks.disk(Settings(models_dir=tmp_path / models_dir, model="v3_ctc"))
    assert (folder.level, folder.about) == ("problem", "MODELS_DIR")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::"])
def test_doctor_finds_the_port_taken_wherever_the_server_would(host: str) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as occupant:
        threading.Thread(target=occupant.handle_request, daemon=True).start()
        (taken,) = checks.port(Settings(host=host, port=occupant.server_port))
    (free,) = checks.port(Settings(host=host, port=free_port()))
    assert (taken.level, free.level) == ("problem", "good")


def test_a_wrong_setting_is_one_line_and_a_misspelt_one_a_warning(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAX_QUEU=3\nVAD_THRESHOLD=2\n")
    wrong = run("doctor")
    assert wrong.returncode == 2
    assert wrong.stderr == "error: VAD_THRESHOLD=2: takes a number, above 0, below 1\n"
    (tmp_path / ".env").write_text("MAX_QUEU=3\n")
    assert run("weights", "pull").stderr == "warning: MAX_QUEU in .env has no effect: is MAX_QUEUE meant?\n"


def test_doctor_says_what_to_do_about_each_obstacle(run: Run, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "v3_ctc.ckpt").write_bytes(b"half a download")
    with socket.create_server(("0.0.0.0", 0)) as occupant:
        occupant.settimeout(0)
        port = occupant.getsockname()[1]
        done = run("doctor", "--model", "v3_ctc", FFMPEG="/nowhere/ffmpeg", PORT=str(port), MAX_UPLOAD_MB="999999999")
    assert done.returncode == 1
    for advice in (
        "✗ ffmpeg: does not run: ",
        "v3_ctc is damaged\n    Remove",
        f"✗ port {port}: PORT={port}: another program listens there",
        "✗ uploads",
        "✗ recognition",
    ):
        assert advice in done.stdout
    assert "Traceback" not in done.stderr


def test_weights_are_listed_and_verified(tmp_path: Path) -> None:
    runner, folder = CliRunner(), ["--models-dir", str(tmp_path)]
    assert runner.invoke(app, ["weights", "verify", *folder]).exit_code == 0
    missing = runner.invoke(app, ["weights", "verify", "v3_ctc", *folder])
    assert (missing.exit_code, "weights pull v3_ctc" in missing.output) == (1, True)
    (tmp_path / "v2_ctc.ckpt").write_bytes(b"half a download")
    damaged = runner.invoke(app, ["weights", "verify", *folder])
    assert (damaged.exit_code, "v2_ctc: DAMAGED; remove" in damaged.output) == (1, True)
    unknown = runner.invoke(app, ["weights", "verify", "v9", *folder])
    assert (unknown.exit_code, "There is no model 'v9'" in unknown.stderr) == (1, True)
    listed = runner.invoke(app, ["weights", "list", *folder]).output.splitlines()
    assert [line.split()[0] for line in listed if " yes " in line] == ["v2_ctc"]


def test_weights_that_are_not_there_are_not_said_to_be(tmp_path: Path) -> None:
    missing = CliRunner().invoke(app, ["weights", "pull", str(tmp_path / "mine.ckpt")])
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert f"There is no weights file {tmp_path / 'mine.ckpt'}" in missing.stderr


def test_pulling_the_bundled_model_tells_where_it_is() -> None:
    result = CliRunner().invoke(app, ["weights", "pull", "demo"])
    assert result.exit_code == 0
    assert Path(result.stdout.strip()).name == "demo_ctc.ckpt"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_doctor_knows_a_server_of_ours_on_the_port(server: Server, host: str) -> None:
    (finding,) = checks.port(Settings(host=host, port=server.port))
    assert (finding.level, finding.message) == ("good", "a server of ours is running there: demo, ok")


def test_serve_starts_the_server_as_the_folder_it_is_called_in_configures_it(tmp_path: Path) -> None:
    port = free_port()
    configured = {name.upper() for name in Settings.model_fields}
    clean = {name: value for name, value in environment().items() if name not in configured}
    (scratch := tmp_path / "scratch").mkdir()
    (tmp_path / ".env").write_text(f"MODEL=demo\nPORT={port}\nHOST=localhost\nAPI_KEY=one,two\nTMPDIR=scratch\n")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, "serve"], cwd=tmp_path, env=clean, stdout=log, stderr=log)
    try:
        wait_until(lambda: ready(port), "a server", 60)
        models = httpx.get(f"http://127.0.0.1:{port}/v1/models", headers={"Authorization": "Bearer two"})
        assert "demo" in [model["id"] for model in models.json()["data"]]
        assert httpx.get(f"http://127.0.0.1:{port}/v1/models").status_code == 401
        assert list(scratch.glob("asr-uploads-*"))
    finally:
        process.terminate()
        process.wait(30)


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def test_bench_imitates_an_older_processor() -> None:
    program = (
        "import importlib, asr_core.cli as cli; bench = importlib.import_module('asr_core.cli.bench');"
        "bench.CASES = bench.CASES[:1]; cli.main()"
    )
    command = [sys.executable, "-c", program, "bench", "--imitate", "avx2"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=100, check=True)
    assert "demo on cpu, imitating avx2" in done.stdout
    assert "This CPU has no bf16 instructions" in done.stdout
    assert done.stdout.count("×") == 2  # of fp32 and int8
