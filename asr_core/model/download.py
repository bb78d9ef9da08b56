"""One large file over an unreliable network: after as many attempts as it takes, whole under its name or not at all.

What has arrived waits in `<file>.part`; the next attempt, or the next process, goes on from there.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.wait import wait_base

from asr_core.errors import DownloadError

log = logging.getLogger(__name__)

LOG_EVERY = 64 << 20  # bytes between two log lines
LARGEST = 4 << 30  # bytes; the largest official weights have 2.3 GB
PATIENCE = 5  # attempts in a row that bring nothing new
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
RETRY_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes of it that are here, and how many it has, where the server says so."""


class _Interrupted(DownloadError):
    """The transfer broke off in a way that another attempt may mend."""


@dataclass(frozen=True, slots=True)
class Download:
    """`url` → `target`, once `is_whole` says of the received file that it is what it should be.

    `wait` paces the attempts. Redirections may not leave the scheme of `url`.
    """

    url: httpx.URL
    target: Path
    is_whole: Callable[[Path], bool]
    wait: wait_base
    progress: Progress

    @property
    def _part(self) -> Path:
        return part_of(self.target)

    def run(self) -> None:
        """Bring the file. Raises DownloadError, or the OSError of a full or read-only disk.

        An exception out of `progress` ends the download; what has arrived is kept.
        """
        with httpx.Client(timeout=TIMEOUT, follow_redirects=True) as client:
            resumed = size_of(self._part) > 0
            log.info("Downloading %s%s", self.url, ", going on where it broke off" if resumed else "")
            whole = self._receive_patiently(client)
            if resumed and not whole:
                log.warning("%s was not worth going on with; starting again", self._part.name)
                self._part.unlink()
                whole = self._receive_patiently(client)
        if not whole:
            self._part.unlink()
            raise DownloadError(f"What the server sent as {self.target.name} is something else, and was deleted.")
        self._part.replace(self.target)
        _sync_folder(self.target.parent)
        log.info("%s is complete, %d MiB", self.target.name, size_of(self.target) >> 20)

    def _receive_patiently(self, client: httpx.Client) -> bool:
        """Receive what is missing, in as many attempts as it takes while they bring something new; is it right?"""
        attempts = Retrying(
            retry=retry_if_exception_type(_Interrupted),
            stop=_Stalled(self._part),
            wait=self.wait,
            before_sleep=_say_why,
            reraise=True,
        )
        try:
            attempts(self._receive, client)
        except _Interrupted:
            # A server that announces more than there is never seems to finish.
            if not (self._part.is_file() and self.is_whole(self._part)):
                raise
            return True
        return self.is_whole(self._part)

    def _receive(self, client: httpx.Client) -> None:
        """Append what one request brings. Raises _Interrupted if that is not all."""
        offset = size_of(self._part)
        self.progress(self.target.name, offset, None)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        try:
            with client.stream("GET", self.url, headers=headers) as response:
                if offset and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return  # there is no more than what is here; whether it is right is for the caller to see
                self._refuse_what_is_no_file(response)
                start = offset if _continues(response, offset) else 0
                length = response.headers.get("Content-Length", "")
                total = start + int(length) if length.isdecimal() else None
                self._refuse_what_does_not_fit(start, total)
                self._append(response, start, total)
        except httpx.RequestError as error:
            raise _Interrupted(
                f"The connection to {self.url.host} failed ({str(error) or type(error).__name__})."
            ) from error

    def _append(self, response: httpx.Response, start: int, total: int | None) -> None:
        """Write the body from `start` on, reporting as it comes; what came is on the disk even if it breaks off."""
        done = start
        with self._part.open("ab") as stream:
            stream.truncate(start)
            try:
                for block in response.iter_raw():
                    stream.write(block)
                    logged, done = done // LOG_EVERY, done + len(block)
                    if done > LARGEST:
                        raise DownloadError(f"The server does not stop sending: that cannot be {self.target.name}.")
                    if done // LOG_EVERY != logged:
                        log.info("%s: %d of %s MiB", self.target.name, done >> 20, total >> 20 if total else "?")
                    self.progress(self.target.name, done, total)
            finally:
                stream.flush()
                os.fsync(stream.fileno())

    def _refuse_what_is_no_file(self, response: httpx.Response) -> None:
        status = f"{response.url.host} answered {response.status_code} {response.reason_phrase}."
        if any(step.url.scheme != self.url.scheme for step in (*response.history, response)):
            raise DownloadError(f"The server sends us to {response.url}, which is not {self.url.scheme}.")
        if response.status_code in RETRY_LATER:
            raise _Interrupted(status)
        if not response.is_success:
            raise DownloadError(status)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise DownloadError(
                f"{response.url.host} sent a web page: is there a login page between it and this machine?"
            )

    def _refuse_what_does_not_fit(self, start: int, total: int | None) -> None:
        if total is None:
            return
        if total > LARGEST:
            raise DownloadError(f"The server announces {total >> 20} MiB for {self.target.name}: that cannot be it.")
        if total - start > (free := shutil.disk_usage(self.target.parent).free):
            raise DownloadError(
                f"{self.target.name} needs {(total - start) >> 20} MiB more, and {free >> 20} MiB are free on the disk."
            )


def part_of(target: Path) -> Path:
    """Where what has arrived of `target` waits for the rest."""
    return target.with_name(f"{target.name}.part")


class _Stalled:
    """Tenacity's stop condition: PATIENCE attempts in a row have not made `part` longer than it ever was."""

    def __init__(self, part: Path) -> None:
        self._part = part
        self._longest = size_of(part)
        self._fruitless = 0

    def __call__(self, _: RetryCallState) -> bool:
        size = size_of(self._part)
        self._fruitless = 0 if size > self._longest else self._fruitless + 1
        self._longest = max(size, self._longest)
        return self._fruitless >= PATIENCE


def _say_why(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("%s Trying again in %.0f s", error, state.upcoming_sleep)


def _continues(response: httpx.Response, offset: int) -> bool:
    """Whether the answer's body begins at `offset`; a server may also start from the beginning."""
    part = response.headers.get("Content-Range", "")
    return response.status_code == httpx.codes.PARTIAL_CONTENT and part.startswith(f"bytes {offset}-")


def size_of(path: Path) -> int:
    """Bytes in `path`; 0 if there is no such file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
