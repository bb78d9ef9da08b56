"""The Bento that `make bento` builds: what it carries, the Dockerfile it comes with, and a server started from it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement

from asr_core.configuration import NAMES
from asr_core.model.kernels import compiled
from tools import bento

ROOT = Path(__file__).resolve().parents[2]
KEY = "open-sesame"
SAMPLE = ROOT / "asr_core" / "demo" / "speech.wav"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bento.build(tmp_path_factory.mktemp("bentoml"))


def requirements(built: Path) -> list[Requirement]:
    text = (built / "env" / "python" / "requirements.txt").read_text(encoding="utf-8")
    return [Requirement(line) for line in text.splitlines() if line.strip()]


def test_it_carries_the_service_and_the_demo_model_and_nothing_of_the_checkout_else(built: Path) -> None:
    assert {path.name for path in (built / "src").iterdir()} == {"asr_core", "service.py", "bentofile.yaml", "LICENSE"}
    carried = [path.relative_to(built / "src") for path in built.glob("src/**/*") if path.is_file()]
    assert [str(path) for path in carried if path.suffix in {".ckpt", ".model"}] == ["asr_core/demo/demo_ctc.ckpt"]
    assert not [path for path in carried if path.suffix == ".pyc" or path.name.startswith(".env")]
    page = Path("asr_core") / "web" / "page"
    assert {path for path in carried if path.parent == page} == {page / path.name for path in (ROOT / page).iterdir()}


def test_it_pins_every_package_exactly_and_takes_torch_by_the_address_of_its_cpu_wheel(built: Path) -> None:
    pins = requirements(built)
    loose = [str(pin) for pin in pins if not pin.url and not re.fullmatch(r"==[^,*]+", str(pin.specifier))]
    assert loose == []
    for name in ("torch", "torchaudio"):
        addresses = [pin.url or "" for pin in pins if pin.name == name]
        assert len(addresses) == 2  # x86_64 and aarch64
        assert all("%2Bcpu-cp312-" in address for address in addresses)
    assert not [pin.name for pin in pins if re.search("onnx|cuda|pyannote", pin.name)]


def test_its_dockerfile_leaves_compiler_and_installer_behind_and_runs_as_its_own_user(built: Path) -> None:
    dockerfile = (built / "env" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG PYTHON={bento.PYTHON_OF_IMAGE}\n" in dockerfile
    made, shipped = dockerfile.split("\nFROM ")[1:]
    assert "g++" in made and "pip" in made
    assert not re.search(r"apt-get|pip|g\+\+", shipped)
    assert " MODELS_DIR=/data/models " in shipped
    assert shipped.index("\nUSER bentoml\n") > shipped.rindex("\nRUN ")
    for unwanted in ("cuda", "build-essential", "git ", "index-url", "API_KEY", "SECRET", "TOKEN"):
        assert unwanted.lower() not in dockerfile.lower()


def test_bentoml_makes_an_image_of_the_same_python(built: Path) -> None:
    assert f"python_version: '{bento.PYTHON_OF_IMAGE}'" in (built / "bento.yaml").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no compiler here")
def test_the_kernels_are_compiled_for_the_image(built: Path, tmp_path: Path) -> None:
    assert not list(built.rglob("*.so"))
    dockerfile = (built / "env" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    script = re.search(r"python (src/\S+/compiled\.py)", dockerfile)
    assert script is not None
    shutil.copytree(built / "src", tmp_path / "src")
    subprocess.run([sys.executable, script[1]], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert compiled.load((tmp_path / script[1]).parent) is not None


@pytest.fixture
def served(built: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a server started from the Bento's folder, away from this checkout, as `.env` there says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / ".env").write_text(f"MODEL=demo\nHOST=localhost\nPORT={port}\nAPI_KEY={KEY}\n")
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    environment["BENTOML_HOME"] = str(tmp_path)
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-P", "-m", "bentoml", "serve", str(built)]
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and server.poll() is None:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz").is_success:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        else:
            pytest.fail((tmp_path / "log").read_text())
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.integration
def test_a_server_started_from_the_bento_with_the_versions_it_pins_hears_the_sample(built: Path, served: str) -> None:
    installed_otherwise = {"torch", "torchaudio", "gigaam"}  # by address, for another Python
    for pin in requirements(built):
        if pin.name not in installed_otherwise and (pin.marker is None or pin.marker.evaluate()):
            assert pin.specifier.contains(version(pin.name)), pin
    with SAMPLE.open("rb") as file:
        form = {"model": "whisper-1", "response_format": "text"}
        address, key = f"{served}/v1/audio/transcriptions", {"Authorization": f"Bearer {KEY}"}
        assert httpx.post(address, data=form).status_code == 401
        answer = httpx.post(address, data=form, files={"file": file}, headers=key, timeout=60)
    assert answer.text.strip() == SAMPLE.with_suffix(".txt").read_text(encoding="utf-8").strip()
