"""The official weights: their names, their checksums, and the folder that they are kept in.

A downloaded file gets its name only once its contents are known to be right. One that was put there by hand is read
when it is first used. What was found is remembered beside it, for as long as the file is not written to.
"""

from __future__ import annotations

import errno
import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
from filelock import FileLock, Timeout
from sentencepiece import SentencePieceProcessor
from tenacity import wait_exponential_jitter
from tenacity.wait import wait_base

from asr_core.errors import CheckpointError, DownloadError, ModelError
from asr_core.model.download import Download, Progress, part_of, size_of
from asr_core.storage import write_whole
from asr_core.types import is_path

log = logging.getLogger(__name__)

BASE_URL = "https://cdn.chatwm.opensmodel.sberdevices.ru/GigaAM"
DEMO = Path(__file__).resolve().parent.parent / "demo" / "demo_ctc.ckpt"

MD5 = {
    "v1_ctc": "f027f199e590a391d015aeede2e66174",
    "v1_rnnt": "02c758999bcdc6afcb2087ef256d47ef",
    "v2_ctc": "e00f59cb5d39624fb30d1786044795bf",
    "v2_rnnt": "547460139acfebd842323f59ed54ab54",
    "v3_ctc": "73413e7be9c6a5935827bfab5c0dd678",
    "v3_rnnt": "0fd2c9a1ff66abd8d32a3a07f7592815",
    "v3_e2e_ctc": "367074d6498f426d960b25f49531cf68",
    "v3_e2e_rnnt": "2730de7545ac43ad256485a462b0a27a",
    "multilingual_ctc": "5379d887c53ccd9cb95981e2a1832720",
    "multilingual_large_ctc": "79a9adde50dd7f35bbf70927cb6557d0",
}
"""md5 of each official model's .ckpt."""

WITH_TOKENIZER = frozenset({"v1_rnnt", "v3_e2e_ctc", "v3_e2e_rnnt"})
"""Models whose SentencePiece vocabulary is a second file, <name>_tokenizer.model."""


_GIB = 1 << 30


def room_for(name: str) -> int:
    """Bytes that the official model `name` takes on the disk, rounded up to whole GiB."""
    return 3 * _GIB if name == "multilingual_large_ctc" else _GIB


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of a model; `md5` is None for a tokenizer, whose checksum is not published."""

    name: str
    md5: str | None

    def is_whole(self, path: Path) -> bool:
        """Whether `path` has the right md5 or, where there is none, can be read as a tokenizer."""
        return _is_tokenizer(path) if self.md5 is None else _md5(path) == self.md5

    def is_known_to_be_whole(self, path: Path) -> bool:
        """The same, without reading a large file that was read before and has not been written to since."""
        return self.is_whole(path) if self.md5 is None else _remembered_md5(path) == self.md5


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _remembered_md5(path: Path) -> str:
    """The md5 of `path`, from `.<name>.md5` beside it, if that was written of the file as it is; else it is written."""
    note = path.with_name(f".{path.name}.md5")
    status = path.stat()
    state = f"{status.st_size} {status.st_mtime_ns}"
    with suppress(OSError, ValueError):
        md5, _, of = note.read_text(encoding="ascii").strip().partition(" ")
        if of == state:
            return md5
    log.info("Checking %s", path.name)
    md5 = _md5(path)
    with suppress(OSError):  # a folder that cannot be written to costs this time at every start
        write_whole(note, f"{md5} {state}\n".encode())
    return md5


def _is_tokenizer(path: Path) -> bool:
    try:
        return bool(SentencePieceProcessor().LoadFromSerializedProto(path.read_bytes()))
    except RuntimeError:
        return False


def files_of(name: str) -> tuple[WeightsFile, ...]:
    """The files of an official model, its .ckpt last. Raises ModelError for a name that is none."""
    if name not in MD5:
        raise ModelError(
            f"There is no model {name!r}. Known: {', '.join(MD5)}, demo, or the path of a .ckpt file or a folder."
        )
    checkpoint = WeightsFile(f"{name}.ckpt", MD5[name])
    return (WeightsFile(f"{name}_tokenizer.model", None), checkpoint) if name in WITH_TOKENIZER else (checkpoint,)


class WeightsStore:
    """The folder of official weights, filled on demand from `base_url`; `wait` paces the attempts at one file."""

    def __init__(self, folder: Path, base_url: str = BASE_URL, wait: wait_base | None = None) -> None:
        self._folder = folder
        self._base_url = base_url
        self._wait = wait or wait_exponential_jitter(initial=1, max=10)

    def path(self, name: str) -> Path:
        """Where the .ckpt of the official model `name` is, or would be."""
        return self._folder / files_of(name)[-1].name

    def present(self) -> dict[str, bool]:
        """Each official model, and whether all its files are here."""
        return {name: not self._missing(name) for name in MD5}

    def verify(self, name: str) -> Literal["whole", "missing", "damaged"]:
        """Read the files of `name` and compare them with what they should be."""
        if self._missing(name):
            return "missing"
        return "whole" if all(file.is_whole(self._folder / file.name) for file in files_of(name)) else "damaged"

    def ensure(self, name: str, progress: Progress | None = None) -> Path:
        """Path of the .ckpt of `name`, downloaded with its tokenizer if it is not here; of two processes, one waits.

        `progress` is also called while nothing arrives, every ten seconds or so; an exception out of it ends the
        download, and what has arrived is kept for the next. Raises DownloadError, or CheckpointError where a file is
        here that is not what its name says.
        """
        if missing := self._missing(name):
            with self._advice(missing):
                self._folder.mkdir(parents=True, exist_ok=True)
                with self._lock(name, progress or _ignore):
                    for file in self._missing(name):
                        self._download(file, progress or _ignore)
        self.check(name)
        return self.path(name)

    def check(self, name: str) -> None:
        """Raise CheckpointError where a file of `name` is here that is not what its name says."""
        for file in files_of(name):
            path = self._folder / file.name
            if path.is_file() and not file.is_known_to_be_whole(path):
                raise CheckpointError(
                    f"{path.name} is damaged, or not the official file of that name. Remove it, to have it downloaded "
                    f"again, or put {self._url(file)} in its place."
                )

    def _missing(self, name: str) -> list[WeightsFile]:
        return [file for file in files_of(name) if not (self._folder / file.name).is_file()]

    def _url(self, file: WeightsFile) -> str:
        return f"{self._base_url}/{file.name}"

    def _download(self, file: WeightsFile, progress: Progress) -> None:
        target = self._folder / file.name
        Download(httpx.URL(self._url(file)), target, file.is_whole, self._wait, progress).run()

    @contextmanager
    def _lock(self, name: str, progress: Progress) -> Iterator[None]:
        """Held by the one process that downloads `name`; the system releases it if that process dies."""
        lock = FileLock(self._folder / f".{name}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            log.info("Another process is downloading %s; waiting for it", name)
            while not lock.is_locked:
                progress(f"{name}.ckpt", size_of(part_of(self.path(name))), None)
                with suppress(Timeout):
                    lock.acquire(timeout=1)
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _advice(self, missing: list[WeightsFile]) -> Iterator[None]:
        """Add to any failure what the user can do by hand."""
        advice = " ".join(f"Or put {self._url(file)} at {self._folder / file.name} yourself." for file in missing)
        try:
            yield
        except DownloadError as error:
            raise DownloadError(f"{error} {advice}") from error
        except OSError as error:
            reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
            raise DownloadError(f"Weights cannot be written to {self._folder}: {reason}. {advice}") from error


def _ignore(_name: str, _done: int, _total: int | None) -> None:
    pass


def resolve(model: str, store: WeightsStore, progress: Progress | None = None) -> Path:
    """What `model` means: an official name's .ckpt (downloaded if need be), `demo`, or the path of a .ckpt or a folder.

    Raises ModelError for any other name, DownloadError if an official model cannot be had.
    """
    if model == "demo":
        return DEMO
    if is_path(model):
        return Path(model)
    return store.ensure(model, progress)
