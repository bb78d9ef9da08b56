"""Transcriptions that nobody holds a connection for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from asr_core.api.auth import KeyRing
from asr_core.api.backend import Backend
from asr_core.api.metrics import Metrics
from asr_core.api.spool import Spool
from asr_core.api.task_store import TaskStore
from asr_core.api.tasks import Tasks
from asr_core.client import Client
from asr_core.engine.engine import Engine
from asr_core.errors import AsrError, BadRequest, Busy, NotFound
from asr_core.settings import Settings
from asr_core.types import JobOptions
from tests.conftest import Server, bentoml_client, running_server, wait_until
from tests.processes import has_ended

# Raised by libraries that bentoml uses, when its client is first imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

UNKNOWN = "0" * 32


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as connected:
        yield connected


def wait_until_ended(client: Client, task_id: str) -> None:
    wait_until(lambda: client.status(task_id) != "in_progress", "a task that has ended", 60)


def test_a_task_goes_on_without_its_client_and_any_other_fetches_the_result(
    server: Server, speech: Path, spoken_text: str
) -> None:
    with Client(server.url) as gone:
        task_id = gone.submit(speech)
    with Client(server.url) as other:
        wait_until_ended(other, task_id)
        assert other.status(task_id) == "completed"
        assert other.result(task_id) == other.transcribe(speech)
        assert other.result(task_id)["text"] == spoken_text
    server.wait_until_clean()


def test_bentomls_client_finds_its_way(server: Server, speech: Path, spoken_text: str) -> None:
    with bentoml_client(server) as client:
        assert client.transcribe_task(file=speech)["text"] == spoken_text
        with speech.open("rb") as file:
            submitted = httpx.post(f"{server.url}/transcribe_task/submit", files={"file": file}).json()
        assert submitted["status"] == "in_progress"
        task_id = submitted["task_id"]
        statuses = type(client.transcribe_task.get_status(task_id))
        wait_until(lambda: client.transcribe_task.get_status(task_id) is statuses.COMPLETED, "a completed task")
        assert client.transcribe_task.get(task_id)["text"] == spoken_text


def test_cancelling_a_task_ends_everything_that_it_has(server: Server, client: Client, long_recording: Path) -> None:
    task_id = client.submit(long_recording)
    assert client.status(task_id) == "in_progress"
    with pytest.raises(BadRequest, match="not completed yet"):
        client.result(task_id)
    assert server.leftovers
    client.cancel(task_id)
    assert client.status(task_id) == "canceled"
    with pytest.raises(BadRequest, match="cancelled"):
        client.result(task_id)
    server.wait_until_clean()
    client.cancel(task_id)
    assert client.status(task_id) == "canceled"


def test_a_task_says_how_far_it_is(server: Server, client: Client, long_recording: Path) -> None:
    def progress(task_id: str) -> dict[str, float]:
        said: dict[str, float] = server.get(f"/transcribe_task/status?task_id={task_id}").json()["progress"]
        return said

    tasks = [client.submit(long_recording) for _ in range(2)]
    for task_id in tasks:
        wait_until(lambda task_id=task_id: progress(task_id)["heard_s"] > 60, "a minute that was heard", 60)  # type: ignore[misc]
        assert progress(task_id)["duration_s"] == pytest.approx(3600, abs=1)
        assert progress(task_id)["recordings_ahead"] in (0, 1)
        client.cancel(task_id)
    assert "progress" not in server.get(f"/transcribe_task/status?task_id={tasks[0]}").json()


def test_what_one_process_works_on_any_other_with_the_same_folder_cancels(tmp_path: Path, long_recording: Path) -> None:
    async def cancelled() -> tuple[str, str, int]:
        settings = Settings(_env_file=None, model="demo", precision="fp32", num_threads=1)
        engine = Engine(settings)
        await engine.start()
        await engine.ready()
        with closing(Spool(tmp_path / "uploads", max_files=1, max_bytes=1 << 20)) as spool:
            backend = Backend(settings, engine, Metrics(CollectorRegistry()), KeyRing(()), spool, 0)
            here, elsewhere = (
                Tasks(backend, TaskStore(tmp_path / "tasks", keep_s=3600), watch_s=0.02) for _ in range(2)
            )
            here.start()
            task_id = await here.submit(long_recording, JobOptions(), AsyncExitStack())
            before = (await elsewhere.find(task_id)).status
            after = (await elsewhere.cancel(task_id)).status
            await engine.stop()
            await here.stop()
            return before, after, engine.n_jobs

    (tmp_path / "uploads").mkdir()
    assert asyncio.run(cancelled()) == ("in_progress", "canceled", 0)
    assert [path.suffix for path in (tmp_path / "tasks").iterdir()] == [".done"]


def test_what_has_ended_is_not_cancelled_any_more(client: Client, speech: Path, spoken_text: str) -> None:
    task_id = client.submit(speech)
    wait_until_ended(client, task_id)
    client.cancel(task_id)
    assert client.result(task_id)["text"] == spoken_text


def test_a_bad_recording_is_refused_when_it_is_submitted(server: Server, client: Client, tmp_path: Path) -> None:
    (noise := tmp_path / "noise.wav").write_bytes(b"no sound" * 1000)
    with pytest.raises(BadRequest, match=r"^The file is not a recording"):
        client.submit(noise)
    assert not list(server.scratch.glob("asr-tasks-*/*.running"))


def test_tasks_take_places_like_any_other_job(client: Client, long_recording: Path, speech: Path) -> None:
    tasks = [client.submit(long_recording) for _ in range(2)]
    with pytest.raises(Busy, match="takes no more"):
        client.submit(speech)
    for task_id in tasks:
        client.cancel(task_id)


def test_an_url_is_not_a_recording(server: Server) -> None:
    response = httpx.post(f"{server.url}/transcribe_task/submit", data={"file": "http://127.0.0.1:1/a.wav"})
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "status"), ("GET", "get"), ("PUT", "cancel"), ("POST", "retry"), ("GET", "other")]
)
@pytest.mark.parametrize("task_id", [UNKNOWN, "../../log", None])
def test_a_task_that_is_not_there_is_not_found(server: Server, method: str, path: str, task_id: str | None) -> None:
    query = {"task_id": task_id} if task_id else {}
    response = httpx.request(method, f"{server.url}/transcribe_task/{path}", params=query)
    assert (response.status_code, response.json()["error"]["type"]) == (404, "invalid_request_error")


def test_however_a_server_ends_its_results_stay_and_what_it_worked_on_is_said_to_be_lost(
    tmp_path: Path, speech: Path, spoken_text: str, long_recording: Path
) -> None:
    first, second, shared = (tmp_path / name for name in ("first", "second", "shared"))
    for directory in (first, second, shared):
        directory.mkdir()
    with running_server(first, TMPDIR=str(shared)) as server, Client(server.url) as client:
        done = client.submit(speech)
        wait_until_ended(client, done)
        orphaned = client.submit(long_recording)
        worker = server.worker
        server.process.kill()
        wait_until(lambda: has_ended(worker), "the end of a worker whose parent was killed")
    with running_server(second, TMPDIR=str(shared)) as server:
        with Client(server.url) as client:
            killed = client.submit(long_recording)
            server.worker.kill()
        wait_until(lambda: answers(server), "another worker", 60)
        folders = sorted(path.name.rpartition("-")[0] for path in shared.iterdir())
        assert folders == ["asr-server", "asr-tasks", "asr-uploads", "asr-worker"], "one of each, the killed ones' gone"
        with Client(server.url) as client:
            assert client.result(done)["text"] == spoken_text
            for task_id in (orphaned, killed):
                assert client.status(task_id) == "failed"
                with pytest.raises(AsrError, match="stopped while it worked"):
                    client.result(task_id)
            with pytest.raises(NotFound):
                client.status(UNKNOWN)
    assert [path.name for path in shared.iterdir()] == [f"asr-tasks-{os.getuid()}"]


def answers(server: Server) -> bool:
    try:
        return server.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def test_another_process_sees_a_task_at_work_then_its_end_then_nothing(tmp_path: Path) -> None:
    here, elsewhere = TaskStore(tmp_path, keep_s=3600), TaskStore(tmp_path, keep_s=3600)
    with here.begin() as task:
        assert elsewhere.find(task.id).status == "in_progress"
        task.finish("completed", 200, '{"text":"да"}'.encode())
    found, body = elsewhere.answer(task.id)
    assert (found.status, found.http_status, body) == ("completed", 200, '{"text":"да"}'.encode())
    assert [path.name for path in tmp_path.iterdir()] == [f"{task.id}.done"]
    an_hour_ago = time.time() - 3601
    os.utime(tmp_path / f"{task.id}.done", (an_hour_ago, an_hour_ago))
    with pytest.raises(NotFound):
        elsewhere.find(task.id)
    elsewhere.sweep()
    assert not list(tmp_path.iterdir())


def test_a_task_that_is_worked_on_is_kept_however_long_it_takes_and_one_that_was_lost_is_not(tmp_path: Path) -> None:
    store = TaskStore(tmp_path, keep_s=3600)
    with store.begin() as task:
        long_ago = time.time() - 100_000
        os.utime(tmp_path / f"{task.id}.running", (long_ago, long_ago))
        store.sweep()
        assert store.find(task.id).status == "in_progress"
    with pytest.raises(NotFound):
        store.find(task.id)
    store.sweep()
    assert not list(tmp_path.iterdir())


def test_a_discarded_task_was_never_there(tmp_path: Path) -> None:
    store = TaskStore(tmp_path, keep_s=3600)
    with store.begin() as task:
        task.discard()
    assert not list(tmp_path.iterdir())


def finished(store: TaskStore, folder: Path, age_s: float, body: bytes = b"{}") -> str:
    """The id of a task that ended so long ago."""
    with store.begin() as task:
        task.finish("completed", 200, body)
    then = time.time() - age_s
    os.utime(folder / f"{task.id}.done", (then, then))
    return task.id


def test_of_too_many_results_the_newest_are_kept(tmp_path: Path) -> None:
    store = TaskStore(tmp_path, keep_s=3600, most_results=3)
    ids = [finished(store, tmp_path, age_s) for age_s in (50, 10, 40, 20, 30)]
    store.sweep()
    kept = {path.stem for path in tmp_path.iterdir()}
    assert kept == {ids[1], ids[3], ids[4]}


def test_of_results_that_are_too_large_together_the_newest_are_kept(tmp_path: Path) -> None:
    store = TaskStore(tmp_path, keep_s=3600, most_bytes=25_000)
    ids = [finished(store, tmp_path, age_s, bytes(10_000)) for age_s in (30, 20, 10)]
    store.sweep()
    assert {path.stem for path in tmp_path.iterdir()} == set(ids[1:])


def test_what_a_killed_process_was_writing_goes_once_nobody_can_be_writing_it(tmp_path: Path) -> None:
    old, young = (tmp_path / f".{name}.part" for name in ("old", "young"))
    for path in (old, young):
        path.touch()
    an_hour_ago = time.time() - 3601
    os.utime(old, (an_hour_ago, an_hour_ago))
    TaskStore(tmp_path, keep_s=36_000).sweep()
    assert list(tmp_path.iterdir()) == [young]


def test_there_need_not_be_a_folder_to_sweep(tmp_path: Path) -> None:
    TaskStore(tmp_path / "nothing", keep_s=1).sweep()


ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from asr_core.api.task_store import TaskStore
from asr_core.errors import StorageFull

store = TaskStore(Path(sys.argv[1]), keep_s=3600)
with store.begin() as task:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # as good as a disk with so much room
    try:
        task.finish("completed", 200, bytes(20_000))
    except StorageFull:
        task.finish("failed", 507, b'{"error": "no room"}')
print(task.id)
"""


def test_a_task_that_ends_while_the_disk_is_full_says_so_and_leaves_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ON_A_FULL_DISK, str(tmp_path)]
    task_id = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert [path.name for path in tmp_path.iterdir()] == [f"{task_id}.done"]
    found, body = TaskStore(tmp_path, keep_s=3600).answer(task_id)
    assert (found.status, found.http_status, body) == ("failed", 507, b'{"error": "no room"}')
