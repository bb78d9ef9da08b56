"""Bring uv.lock up to date with pyproject.toml where PyTorch's own package index cannot be reached.

uv reads that index whenever it resolves, though all that matters of it is in uv.lock already. This script serves just
that on loopback, lets uv resolve against it, and puts the real addresses back. Everything else is resolved as usual.
With the index in reach, plain `uv lock` does the same.

Run it with the project's environment: .venv/bin/python tools/relock.py [arguments for `uv lock`, such as --upgrade]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import quote, unquote

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel as uv.lock names it; not every hash is known."""

    url: str
    hash: str | None = None

    @property
    def filename(self) -> str:
        return unquote(self.url.rsplit("/", 1)[1])

    @property
    def folder(self) -> str:
        return self.url.rsplit("/", 1)[0]


@dataclass(frozen=True, slots=True)
class Package:
    version: str
    wheels: tuple[Wheel, ...]


def packages_from(index: str, lock: Path) -> dict[str, Package]:
    """What uv.lock takes from `index`, by package name."""
    locked = tomllib.loads(lock.read_text())["package"]
    return {
        package["name"]: Package(
            package["version"], tuple(Wheel(wheel["url"], wheel.get("hash")) for wheel in package["wheels"])
        )
        for package in locked
        if package["source"].get("registry") == index
    }


def metadata(name: str, version: str) -> str:
    """The METADATA of the installed distribution `name`, under the locked version's name."""
    text = distribution(name).read_text("METADATA") or ""
    requirements = [line for line in text.splitlines() if line.startswith("Requires-Dist:")]
    if any("nvidia" in line or "cuda" in line for line in requirements):
        raise SystemExit(f"{name} in this environment is a CUDA build: its requirements are not the locked build's")
    return "\n".join(f"Version: {version}" if line.startswith("Version: ") else line for line in text.splitlines())


def write_index(packages: Mapping[str, Package], folder: Path) -> None:
    """Lay out `packages` as a simple index whose wheels cannot be fetched, only their metadata."""
    for name, package in packages.items():
        page = folder / name
        page.mkdir()
        links = []
        for wheel in package.wheels:
            (page / f"{wheel.filename}.metadata").write_text(metadata(name, package.version))
            anchor = "#" + wheel.hash.replace(":", "=") if wheel.hash else ""
            links.append(f'<a href="{quote(wheel.filename)}{anchor}" data-core-metadata="true">{wheel.filename}</a>')
        (page / "index.html").write_text("<!DOCTYPE html><html><body>" + "\n".join(links) + "</body></html>")


def relock(index: str, packages: Mapping[str, Package], arguments: list[str]) -> None:
    """Resolve pyproject.toml with `packages` standing for `index`; uv.lock changes only if that succeeds."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise SystemExit("uv is not installed")
    with tempfile.TemporaryDirectory() as scratch:
        stand_in, project = Path(scratch, "site", "simple"), Path(scratch, "project")
        stand_in.mkdir(parents=True)
        project.mkdir()
        write_index(packages, stand_in)
        handler = partial(SimpleHTTPRequestHandler, directory=str(stand_in.parent))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            local = f"http://127.0.0.1:{server.server_port}/simple"
            for file in ("pyproject.toml", "uv.lock"):
                if (ROOT / file).exists():
                    (project / file).write_text((ROOT / file).read_text().replace(index, local))
            subprocess.run([uv, "lock", "--refresh", *arguments], cwd=project, check=True)
            server.shutdown()
        lock = (project / "uv.lock").read_text()
    for name, package in packages.items():
        lock = lock.replace(f"{local}/{name}/", f"{package.wheels[0].folder}/")
    (ROOT / "uv.lock").write_text(lock.replace(local, index))


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (index,) = (entry["url"] for entry in project["tool"]["uv"]["index"] if entry.get("explicit"))
    relock(index, packages_from(index, ROOT / "uv.lock"), sys.argv[1:])


if __name__ == "__main__":
    main()
