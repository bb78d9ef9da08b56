"""What can build an image and run it: a Docker engine, or buildah and unshare."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tools import bento

TAG = "gigaam_asr:image-test"
IMAGE_USER = 1034
SERVE = ["serve", "--timeout-graceful-shutdown", "30"]


def say(text: str) -> None:
    print(f"image-test: {text}", flush=True)


def run(*command: str | Path, **variables: str) -> str:
    """Run a command; its output, which is shown if it fails."""
    done = subprocess.run(
        command, check=False, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout[-8000:]}\nimage-test: failed: {' '.join(map(str, command))[:200]}")
    return done.stdout.strip()


class Engine(Protocol):
    """What builds the image and runs it."""

    pins: tuple[str, ...]

    def build(self, context: Path) -> None: ...

    def size(self) -> int:
        """What the image takes on disk, bytes."""

    def start(self, port: int, variables: Mapping[str, str], log: int) -> subprocess.Popen[bytes]:
        """Start the image's entrypoint: root read-only, /tmp in memory, an empty volume at /data/models."""

    def terminate(self, process: subprocess.Popen[bytes]) -> None:
        """Send SIGTERM to the entrypoint."""

    def left_in_volume(self) -> list[str]: ...

    def close(self) -> None: ...


class Docker:
    pins: tuple[str, ...] = ("--wheels", bento.PYTHON_OF_IMAGE)

    def __init__(self) -> None:
        self._name = f"gigaam-image-test-{os.getpid()}"
        run("docker", "volume", "create", self._name)

    def build(self, context: Path) -> None:
        run("docker", "build", "--tag", TAG, "--file", context / "env" / "docker" / "Dockerfile", context)

    def size(self) -> int:
        return int(run("docker", "image", "inspect", "--format", "{{.Size}}", TAG))

    def start(self, port: int, variables: Mapping[str, str], log: int) -> subprocess.Popen[bytes]:
        settings = [f"--env={name}={value}" for name, value in ({"PORT": "3000"} | dict(variables)).items()]
        options = ["--rm", "--read-only", "--tmpfs=/tmp:mode=1777,size=1g", f"--volume={self._name}:/data/models"]
        address = [f"--publish=127.0.0.1:{port}:3000", f"--name={self._name}"]
        return subprocess.Popen(["docker", "run", *options, *address, *settings, TAG, *SERVE], stdout=log, stderr=log)

    def terminate(self, process: subprocess.Popen[bytes]) -> None:
        run("docker", "kill", "--signal", "TERM", self._name)

    def left_in_volume(self) -> list[str]:
        listing = ["docker", "run", "--rm", f"--volume={self._name}:/data/models", "--entrypoint=ls", TAG]
        return run(*listing, "-A", "/data/models").split()

    def close(self) -> None:
        subprocess.run(["docker", "rm", "--force", self._name], check=False, capture_output=True)
        run("docker", "volume", "rm", "--force", self._name)


class Buildah:
    pins: tuple[str, ...] = ("--ordinary-index",)

    MOUNT_AND_RUN = """
        set -e
        cp /etc/hosts "$ROOT/etc/hosts" # which engines make for every container
        mount --bind "$ROOT" "$ROOT"
        mount -t proc proc "$ROOT/proc"
        mount --rbind /dev "$ROOT/dev"
        mount -t tmpfs -o mode=1777,size=1g tmpfs "$ROOT/tmp"
        mount --bind "$VOLUME" "$ROOT/data/models"
        mount -o remount,bind,ro "$ROOT"
        exec chroot --userspec="$IMAGE_USER:$IMAGE_USER" "$ROOT" "$@"
    """

    def __init__(self, scratch: Path) -> None:
        missing = [name for name in ("buildah", "debootstrap", "unshare") if shutil.which(name) is None]
        if missing or os.geteuid() != 0:
            raise SystemExit("image-test: needs Docker; or root, and: apt-get install buildah debootstrap crun")
        self._scratch = scratch
        self._volume = scratch / "models"
        self._volume.mkdir()
        os.chown(self._volume, IMAGE_USER, IMAGE_USER)
        storage = scratch / "storage.conf"
        graph, runtime = scratch / "storage", scratch / "run"
        storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{graph}"\nrunroot = "{runtime}"\n')
        self._storage = {"CONTAINERS_STORAGE_CONF": str(storage)}

    def _buildah(self, *command: str | Path) -> str:
        return run("buildah", *command, **self._storage)

    def _make_base(self) -> None:
        """A Debian 12 that has what python:3.11-slim has, under that name."""
        debian = self._scratch / "debian"
        packages = "ca-certificates,python-is-python3,python3-pip,python3-venv"
        say("making Debian 12 with debootstrap")
        run("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", debian)
        for marker in debian.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            marker.unlink()  # Debian's word that pip must not install system-wide, which the official image allows
        for needless in ("share/doc", "share/man", "share/info", "share/locale"):
            shutil.rmtree(debian / "usr" / needless)
        for emptied in ("cache/apt", "lib/apt/lists"):
            shutil.rmtree(debian / "var" / emptied)
            (debian / "var" / emptied / "partial").mkdir(parents=True)
        base = self._buildah("from", "scratch")
        self._buildah("add", "--quiet", base, debian, "/")
        for variable in ("SSL_CERT_FILE", "PIP_CERT"):
            if variable in os.environ:
                self._buildah("config", "--env", f"{variable}={os.environ[variable]}", base)
        self._buildah("config", "--env", f"PIP_FIND_LINKS={os.environ.get('PIP_FIND_LINKS', '')}", base)
        self._buildah("commit", "--quiet", "--rm", base, "docker.io/library/python:3.11-slim")
        shutil.rmtree(debian)

    def build(self, context: Path) -> None:
        self._make_base()
        shared = [Path("/etc/ssl/certs"), Path(os.environ.get("PIP_FIND_LINKS", ""))]
        mounts = [f"--volume={path}:{path}:ro" for path in shared if path.is_absolute() and path.is_dir()]
        say("building the image with buildah")
        options = ["--isolation=chroot", "--network=host", "--pull=never", "--build-arg=PYTHON=3.11", *mounts]
        self._buildah("build", *options, "--tag", TAG, "--file", context / "env" / "docker" / "Dockerfile", context)

    def size(self) -> int:
        container = self._buildah("from", "--pull-never", TAG)
        size = int(run("du", "--summarize", "--block-size=1", self._buildah("mount", container)).split()[0])
        self._buildah("rm", container)
        return size

    def start(self, port: int, variables: Mapping[str, str], log: int) -> subprocess.Popen[bytes]:
        image = json.loads(self._buildah("inspect", "--type", "image", TAG))["OCIv1"]["config"]
        container = self._buildah("from", "--pull-never", TAG)
        places = {"ROOT": self._buildah("mount", container), "VOLUME": str(self._volume)}
        settings = [f"{name}={value}" for name, value in variables.items()]
        entry = ["/usr/bin/env", "-i", f"--chdir={image['WorkingDir']}", *image["Env"], *settings, f"PORT={port}"]
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private"]
        return subprocess.Popen(
            [*namespaces, "sh", "-c", self.MOUNT_AND_RUN, "sh", *entry, *image["Entrypoint"], *SERVE],
            env=os.environ | places | {"IMAGE_USER": str(IMAGE_USER)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def terminate(self, process: subprocess.Popen[bytes]) -> None:
        (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        mounts = Path(f"/proc/{first}/mountinfo").read_text().splitlines()
        (root,) = (fields for fields in map(str.split, mounts) if fields[4] == "/")
        user = next(
            line.split()[1] for line in Path(f"/proc/{first}/status").read_text().splitlines() if "Uid:" in line
        )
        if not root[5].startswith("ro,") or user != str(IMAGE_USER):
            raise SystemExit(f"image-test: the root was mounted {root[5]} and the user was {user}")
        os.kill(int(first), signal.SIGTERM)

    def left_in_volume(self) -> list[str]:
        return [path.name for path in self._volume.iterdir()]

    def close(self) -> None:
        pass  # all of it lies in the scratch folder


def docker_runs() -> bool:
    """Whether there is a Docker engine, not only its client."""
    return (
        shutil.which("docker") is not None
        and not subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=60).returncode
    )
