from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from asr_core.api.spool import Spool
from asr_core.errors import QueueFull

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


def test_one_file_too_many_is_refused_until_another_goes(tmp_path: Path) -> None:
    async def scenario() -> None:
        spool = Spool(tmp_path, max_files=2, max_bytes=1)
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(spool.file())
            with pytest.raises(QueueFull):
                await stack.enter_async_context(spool.file())
            assert len(files(tmp_path)) == 2
        assert files(tmp_path) == []
        async with spool.file():
            assert len(files(tmp_path)) == 1
        spool.close()
        assert list(tmp_path.iterdir()) == []

    asyncio.run(scenario())


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
