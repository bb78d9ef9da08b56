"""The shape that README's architecture section promises."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "asr_core"
SOURCES = [*PACKAGE.rglob("*.py"), ROOT / "service.py"]

FLOORS = [
    {"types", "errors"},
    {"wordlist"},
    {"settings", "logs", "runtime", "storage", "address", "answers", "process_memory"},
    {"configuration", "audio", "model", "text"},
    {"speakers"},
    {"engine", "live"},
    {"web", "client"},
    {"api", "cli"},
    {"service"},
]
"""Imports point downwards, or stay in their room."""

PURE = [
    "asr_core.audio.chunking",
    "asr_core.audio.hysteresis",
    "asr_core.audio.crosstalk",
    "asr_core.audio.levels",
    "asr_core.audio.sides",
    "asr_core.audio.tape",
    "asr_core.engine.scheduler",
    "asr_core.live.agreement",
    "asr_core.live.events",
    "asr_core.live.session",
    "asr_core.live.sound",
    "asr_core.live.turns",
    "asr_core.speakers.clustering",
    "asr_core.speakers.count",
    "asr_core.speakers.held",
    "asr_core.speakers.labels",
    "asr_core.speakers.sides",
    "asr_core.speakers.turns",
    "asr_core.speakers.windows",
    "asr_core.text.cues",
    "asr_core.text.encoding",
    "asr_core.text.formats",
    "asr_core.text.languages",
    "asr_core.text.keywords",
    "asr_core.text.sounds",
    "asr_core.text.words",
    "asr_core.text.writer",
]
MAY_IMPORT = {
    "reference": {"reference", "asr_core"},
    "tools": {"tools", "reference", "asr_core"},
    "benchmarks": {"benchmarks", "tools", "reference", "asr_core"},
}
"""What the folders beside the package may import of ours; `service` and they themselves are nobody's business below."""
OURS = {"asr_core", "service", "tests", *MAY_IMPORT}


def imported(path: Path) -> Iterator[str]:
    """Absolute names of the modules that a file imports, wherever in it; not those for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    hidden = {id(inner) for node in for_types for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str | None:
    """The room of a module of ours; None for others' modules and for the package itself."""
    parts = module.split(".")
    if parts[0] == "service":
        return "service"
    return parts[1] if parts[0] == "asr_core" and len(parts) > 1 else None


def floor(name: str) -> int:
    return next(index for index, rooms in enumerate(FLOORS) if name in rooms)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if own in (None, "__init__", "__main__"):
        return
    for module in imported(path):
        other = room(module)
        if other is not None and other != own:
            assert floor(other) < floor(str(own)), f"{own} must not import {module}"


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_the_folders_beside_the_package_import_one_way(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        used = {module.split(".")[0] for module in imported(path)} & OURS
        assert used <= MAY_IMPORT[folder], path


def test_the_package_imports_nothing_beside_it() -> None:
    for path in SOURCES:
        assert not {module.split(".")[0] for module in imported(path)} & (OURS - {"asr_core"}), path


def test_bentoml_is_imported_by_the_service_and_by_its_client_alone() -> None:
    users = {path.name for path in SOURCES if any(name.split(".")[0] == "bentoml" for name in imported(path))}
    assert users <= {"service.py", "client.py"}


def loaded_by(module: str) -> set[str]:
    """Top-level packages in memory after importing `module` in a fresh interpreter."""
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_load_no_torch_and_no_web_framework(module: str) -> None:
    assert not loaded_by(module) & {"torch", "fastapi", "starlette", "bentoml"}


def test_the_api_loads_no_torch() -> None:
    assert "torch" not in loaded_by("asr_core.api.app")


GLOBALS = """
import logging, os, signal, socket, sys, warnings
def state():
    loggers = [logging.getLogger(name) for name in (None, "bentoml", "uvicorn")]
    return (
        dict(os.environ), os.getcwd(), os.umask(0o77), socket.getdefaulttimeout(),
        sys.excepthook, sys.getrecursionlimit(),
        [signal.getsignal(number) for number in signal.valid_signals()],
        [(logger.level, list(logger.handlers)) for logger in loggers], "torch" in sys.modules,
    )
os.umask(0o77)
import concurrent.futures, bentoml, fastapi  # what they change is theirs
before = state()
import MODULE
after = state()
assert before == after, [pair for pair in zip(before, after) if pair[0] != pair[1]]
"""


@pytest.mark.parametrize("module", ["asr_core.settings", "asr_core.api.app", "asr_core.cli", "asr_core.client"])
def test_importing_changes_no_global_and_loads_no_torch(module: str) -> None:
    subprocess.run([sys.executable, "-c", GLOBALS.replace("MODULE", module)], cwd=ROOT, check=True)


@pytest.mark.parametrize("word", ["pyannote", "transcribe_longform"])
def test_upstreams_longform_is_never_used(word: str) -> None:
    places = [*SOURCES, *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]
    assert [path.name for path in places if word in path.read_text(encoding="utf-8")] == []
