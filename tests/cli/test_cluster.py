"""A batch on a real Ray cluster of two machines, which are processes here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # comes with bentoml, its types do not
import pytest

from asr_core.audio.ffmpeg import find_ffmpeg
from tests.cli.conftest import COMMAND, Run, environment
from tests.conftest import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not find_spec("ray"), reason="Ray is not installed: pip install 'gigaam-asr-server[ray]'"),
]

CLUSTER = """
import sys
from ray.cluster_utils import Cluster
options = {"num_cpus": 1, "object_store_memory": 80 << 20}
cluster = Cluster(initialize_head=True, head_node_args={**options, "include_dashboard": False})
cluster.add_node(**options)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""

N_RECORDINGS = 6
TIMES = 12
"""How often the sample is said in each: two minutes, which take a worker a while."""

SETTINGS = {"NUM_THREADS": "1", "MAX_QUEUE": "2", "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True)
class RayCluster:
    address: str
    process: psutil.Process

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes of our actors; Ray gives them their title."""
        return [child for child in self.process.children(recursive=True) if _title(child).startswith("ray::Worker")]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


@pytest.fixture
def cluster() -> Iterator[RayCluster]:
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(**SETTINGS),
        text=True,
    ) as process:
        assert process.stdout
        yield RayCluster(process.stdout.readline().strip(), psutil.Process(process.pid))
        process.communicate(timeout=60)


def test_a_worker_that_dies_in_the_middle_costs_nothing_but_time(
    run: Run, tmp_path: Path, cluster: RayCluster, speech: Path
) -> None:
    (tmp_path / "inbox").mkdir()
    names = [f"{number}.wav" for number in range(N_RECORDINGS)]
    loop = ["-stream_loop", str(TIMES - 1), "-i", str(speech)]
    subprocess.run([find_ffmpeg(), "-v", "error", *loop, tmp_path / "reference.wav"], check=True)
    for name in names:
        shutil.copy(tmp_path / "reference.wav", tmp_path / "inbox" / name)
    assert run("transcribe", "reference.wav", **SETTINGS).returncode == 0

    with subprocess.Popen(
        [*COMMAND, "transcribe", "inbox", "--ray", cluster.address],
        cwd=tmp_path,
        env=environment(**SETTINGS),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until(lambda: any((tmp_path / "inbox").glob("*.txt")), "the first transcript", 100)
        assert len(cluster.workers) == 2
        cluster.workers[0].kill()
        _, messages = process.communicate(timeout=100)

    assert process.returncode == 0, messages
    assert messages.count("→") == N_RECORDINGS
    for name in names:
        assert messages.count(f"inbox/{name} →") == 1
        written = (tmp_path / "inbox" / name).with_suffix(".txt")
        assert written.read_text() == (tmp_path / "reference.txt").read_text()
    assert len(list((tmp_path / "inbox").iterdir())) == 2 * N_RECORDINGS
    assert "transcribed already" in run("transcribe", "inbox", "--ray", cluster.address, **SETTINGS).stderr


def test_no_cluster_is_known_at_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "talk.mp3").write_bytes(b"never read")
    done = run("transcribe", "talk.mp3", "--ray", "127.0.0.1:9")
    assert done.returncode == 1
    assert "There is no Ray cluster at 127.0.0.1:9" in done.stderr
