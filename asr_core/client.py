"""A running server from Python, through BentoML's own client.

with Client("http://nas:3000") as client:
    for event in client.stream(Path("talk.mp3")):
        print(event.get("text"))
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import bentoml
import httpx
from bentoml.exceptions import BentoMLException

from asr_core.answers import Unreachable, json_lines, refusal, told

DAY_S = 86_400.0
"""A recording takes as long as it takes; this is how long the client waits for the next byte."""


class Client:
    """The server at `url`. For one thread at a time: BentoML's client closes all its files after each call.

    `audio_track`, from 0, is the one to hear of several sound tracks; None leaves the choice to the server.
    Every method raises BadRequest, Unauthorized, NotFound, UploadTooLarge, Busy (Unreachable among them) or AsrError.
    """

    def __init__(self, url: str, api_key: str = "") -> None:
        with _our_errors(url):
            self._bento = bentoml.SyncHTTPClient.__new__(bentoml.SyncHTTPClient)
            try:
                # Without a token BentoML would send the one of its own cloud; its waiting for readiness is a busy loop.
                self._bento.__init__(url, token=api_key, timeout=DAY_S, server_ready_timeout=0)
            finally:
                # A folder for files among the answers. We get none, and whoever is killed would leave it behind.
                self._bento._temp_dir.cleanup()
            # Its `submit` closes the files that it sent by a name that only its file manager knows them by.
            self._bento._opened_files = self._bento._file_manager._opened_files
        self._url = url

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._bento.close()

    def transcribe(self, recording: Path, **options: Any) -> dict[str, Any]:
        """The transcript in OpenAI's `verbose_json`, with segments and words.

        options: `audio_track`, counted from 0; `keywords` to listen for, a list; or a `prompt` that has some;
            `keywords_spelling`, original or model.
        """
        with _our_errors(self._url):
            answer: dict[str, Any] = self._bento.call("transcribe", file=recording, **options)
            return answer

    def submit(self, recording: Path, **options: Any) -> str:
        """Have the recording transcribed without waiting for it; returns the task's id, good for any client.

        options: as for `transcribe`.
        """
        with _our_errors(self._url):
            return str(self._bento.transcribe_task.submit(file=recording, **options).id)

    def status(self, task_id: str) -> str:
        """`in_progress`, `completed`, `failed` or `canceled`. NotFound once its result is no longer kept."""
        with _our_errors(self._url):
            return str(self._bento.transcribe_task.get_status(task_id).value)

    def result(self, task_id: str) -> dict[str, Any]:
        """What `transcribe` would have returned or raised; BadRequest while the task is in progress."""
        with _our_errors(self._url):
            answer: dict[str, Any] = self._bento.transcribe_task.get(task_id)
            return answer

    def cancel(self, task_id: str) -> None:
        """End a task, unless it has ended already."""
        with _our_errors(self._url):
            self._bento.transcribe_task.cancel(task_id)

    def stream(self, recording: Path, **options: Any) -> Iterator[dict[str, Any]]:
        """The transcript as it is recognised: events `{"type": "segment", …}`, the last one `{"type": "done", …}`.

        A stream that ends without `done` raises, so whoever has read it to the end has the whole transcript.
        options: as for `transcribe`.
        """
        with (
            _our_errors(self._url),
            closing(self._bento.call("transcribe_stream", file=recording, **options)) as pieces,
        ):
            for event in json_lines(pieces):
                if event["type"] == "error":
                    raise told(event["error"])
                yield event
                if event["type"] == "done":
                    return
        raise Unreachable(f"{self._url} broke off in the middle of its answer.")


@contextmanager
def _our_errors(url: str) -> Iterator[None]:
    """Scope in which the HTTP libraries' exceptions become ours."""
    try:
        yield
    except BentoMLException as error:
        raise refusal(int(error.error_code), str(error)) from error
    except httpx.HTTPError as error:
        raise Unreachable(f"{url} cannot be reached: {str(error) or type(error).__name__}.") from error
