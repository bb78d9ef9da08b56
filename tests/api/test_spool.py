from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from asr_core.api.spool import Spool
from asr_core.errors import QueueFull, StorageGone


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path, max_files=2, max_bytes=1)) as spool:
        yield spool


PROCESS_WITH_AN_UPLOAD = """
import asyncio, sys
from pathlib import Path
from asr_core.api.spool import Spool

async def main():
    async with Spool(Path(sys.argv[1]), max_files=1, max_bytes=1).file() as file:
        file.write(b"sound")
        file.flush()
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.glob("*/*")]


def test_one_file_too_many_is_refused_until_another_goes(spool: Spool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(spool.file())
            with pytest.raises(QueueFull):
                await stack.enter_async_context(spool.file())
            assert len(files(tmp_path)) == 2
        assert files(tmp_path) == []
        async with spool.file():
            assert len(files(tmp_path)) == 1

    asyncio.run(scenario())


def test_nothing_stays_of_a_spool_that_is_closed(tmp_path: Path) -> None:
    Spool(tmp_path, max_files=1, max_bytes=1).close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_somebody_removes_is_made_again_and_is_this_process_s(spool: Spool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with spool.file():
            shutil.rmtree(next(tmp_path.iterdir()))
            spool.check()
            async with spool.file() as file:
                file.write(b"sound")
                Spool(tmp_path, max_files=1, max_bytes=1).close()  # which removes what nobody has locked
                assert files(tmp_path) == [b"sound"]
        assert files(tmp_path) == []

    asyncio.run(scenario())


def test_without_the_folder_s_own_place_there_is_no_room_until_it_is_back(spool: Spool, tmp_path: Path) -> None:
    aside = tmp_path.rename(tmp_path.with_name("aside"))
    with pytest.raises(StorageGone):
        spool.check()
    aside.rename(tmp_path)
    spool.check()


WRITE_TO_A_FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from starlette.requests import Request
from asr_core.api.multipart import Keep
from asr_core.api.spool import Spool
from asr_core.api.upload import receive_upload
from asr_core.errors import StorageFull

resource.setrlimit(resource.RLIMIT_FSIZE, (99, 99))  # as good as a disk with so much room
head = b'--b\\r\\nContent-Disposition: form-data; name="file"; filename="a"\\r\\n\\r\\n'
body = head + bytes(int(sys.argv[2])) + b"\\r\\n--b--"

async def receive():
    return {"type": "http.request", "body": body, "more_body": False}

async def main():
    spool = Spool(Path(sys.argv[1]), max_files=1, max_bytes=1 << 30)
    scope = {"type": "http", "headers": [(b"content-type", b"multipart/form-data; boundary=b")]}
    try:
        async with receive_upload(Request(scope, receive), spool, wanted=lambda name: Keep.NOTHING):
            print("received")
    except StorageFull as error:
        print(error)
    spool.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("n_bytes", [100, 3000, 3 << 20])
def test_where_a_recording_finds_no_room_the_client_is_told_so_however_small_it_is(
    n_bytes: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", WRITE_TO_A_FULL_DISK, str(tmp_path), str(n_bytes)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.startswith("The server has no disk space left for uploads")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_start_and_not_what_a_living_one_has(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS_WITH_AN_UPLOAD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        Spool(tmp_path, max_files=1, max_bytes=1).close()
        assert files(tmp_path) == [b"sound"]
        process.kill()
        process.wait()
    assert files(tmp_path) == [b"sound"]
    Spool(tmp_path, max_files=1, max_bytes=1).close()
    assert files(tmp_path) == []
