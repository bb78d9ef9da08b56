"""The Bento: one service with the engine inside it, the HTTP API mounted on it. The only file that imports bentoml."""

# bentoml's decorators come without types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import atexit
import gc
import logging
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import bentoml
import click
import uvicorn
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.utils.analytics import usage_stats
from bentoml.exceptions import BentoMLConfigException
from prometheus_client import REGISTRY

from asr_core import address
from asr_core.api import native
from asr_core.api.app import create_app
from asr_core.api.auth import KeyRing
from asr_core.api.backend import Backend
from asr_core.api.connections import Config
from asr_core.api.guard import Guard
from asr_core.api.metrics import Metrics
from asr_core.api.process import end_with_parent
from asr_core.api.spool import OwnFolder, Spool
from asr_core.api.task_store import TaskStore
from asr_core.api.tasks import Tasks
from asr_core.api.wyoming import WyomingServer
from asr_core.configuration import as_environment, misspelt_names, read_settings
from asr_core.errors import ConfigurationError
from asr_core.logs import configure_logging
from asr_core.runtime import prepare
from asr_core.settings import Settings
from asr_core.types import JobOptions

# A self-hosted server does not report its use to anybody. `bentoml serve` has looked at the variable, and remembered
# what it saw, before it imports this module.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
usage_stats.do_not_track.cache_clear()

# BentoML's worker makes one after it has imported this module, and has no option for what ours is there for.
uvicorn.Config = Config  # type: ignore[misc]

log = logging.getLogger("asr_core.service")
app = create_app()

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
"""BentoML's own request timeout, which cannot be switched off: a recording takes as long as it takes."""

image = (
    # What BentoML's own `containerize` makes, which keeps its installer and has no compiled kernels. `make image` makes
    # a smaller one, with deploy/docker/Dockerfile.
    # Not a distribution that BentoML knows: into those it installs a compiler and git, which nothing here needs.
    bentoml.images.Image(base_image="python:3.12-slim", python_version="3.12", distro="debian-slim")
    # Volumes mounted here belong to the image's user.
    .run("install -d -o $BENTO_USER -g $BENTO_USER /data/models /data/uploads")
    # The requirements are complete; what the packages ask for would add onnx.
    .run(r"mkdir -p /etc/uv && printf '[pip]\nno-deps = true\n' > /etc/uv/uv.toml")
)


@contextmanager
def _for_bentoml() -> Iterator[None]:
    """Scope whose ConfigurationError BentoML ends with, in one line."""
    try:
        yield
    except ConfigurationError as error:
        raise BentoMLConfigException(str(error)) from None


def _scratch(settings: Settings) -> Path:
    """A disk volume in the image, shared by replicas."""
    return settings.tmpdir or Path(tempfile.gettempdir())


def _own_scratch(scratch: Path, prefix: str) -> OwnFolder:
    """A folder in `scratch` for what this process makes without saying where.

    BentoML makes folders that it never uses here, and that stay when their process is killed.
    """
    folder = OwnFolder(scratch, prefix)
    tempfile.tempdir = str(folder.path)
    return folder


class ConfiguredService(bentoml.Service[Any]):  # type: ignore[misc]  # it comes without types
    """Reads the settings where BentoML asks for its configuration.

    While it imports this module, the working directory is that of the code, which in a Bento is the Bento's own. When
    it asks, it is back in the folder that the server is started in, whose `.env` is meant.
    """

    def inject_config(self) -> None:
        with _for_bentoml():
            settings = read_settings()
            self.config["http"] = {"host": address.numeric(settings.host), "port": settings.port}
        os.environ |= as_environment(settings)  # for the worker, which works in the folder of the code
        super().inject_config()


class Call(native.NativeForm):
    """What a call of ours takes, for BentoML's schema and clients."""

    file: Path


@bentoml.service(
    name="gigaam_asr",
    service_class=ConfiguredService,
    image=image,
    workers=1,
    traffic={"timeout": DAY_S},
    # Both are ours: BentoML's log lines lack the request id, and its metrics keep every path that was ever asked for.
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
@bentoml.asgi_app(app, path="/")
class GigaamAsr:
    """Russian speech recognition. Made once, in the worker; the parent process only imports this module."""

    def __init__(self) -> None:
        prepare(os.environ)
        from asr_core.engine.engine import Engine  # noqa: PLC0415 - torch belongs to the worker alone
        from asr_core.engine.stages import TracedStages  # noqa: PLC0415

        end_with_parent()
        settings = read_settings()
        configure_logging(settings.log_level, as_json=settings.log_json)
        tracer = BentoMLContainer.tracer_provider.get().get_tracer("asr_core")
        self._engine = Engine(settings, stages=partial(TracedStages, tracer))
        metrics = Metrics(REGISTRY)
        scratch = _scratch(settings)
        self._own_scratch = _own_scratch(scratch, "asr-worker-")
        spool = Spool(scratch, max_files=settings.max_queue, max_bytes=settings.max_upload_mb << 20)
        metrics.watch(self._engine)
        self._backend = Backend(settings, self._engine, metrics, KeyRing(settings.api_key), spool, int(time.time()))
        app.state.backend = self._backend
        self._wyoming = WyomingServer(self._backend, address.numeric(settings.host), settings.wyoming_port)
        store = TaskStore(scratch / f"asr-tasks-{os.getuid()}", settings.task_retention_hours * HOUR_S)
        app.state.tasks = self._tasks = Tasks(self._backend, store)

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """In the parent process, before it listens."""
        settings = read_settings()
        configure_logging(settings.log_level, as_json=settings.log_json)
        for hint in misspelt_names():
            log.warning(hint)
        context = click.get_current_context(silent=True)
        options = context.params if context else {}  # `bentoml serve` has --host and --port too
        http = BentoMLContainer.http
        with _for_bentoml():
            address.check_free(options.get("host") or http.host.get(), options.get("port") or http.port.get())
        atexit.register(_own_scratch(_scratch(settings), "asr-server-").close)

    @bentoml.on_startup
    async def start(self) -> None:
        await self._engine.start()
        self._tasks.start()
        await self._wyoming.start()
        # What has been imported stays. The garbage collector holds up everybody for as long as it looks at it again:
        # tenths of a second, each time that a long transcript has grown by a quarter of all that there is.
        gc.freeze()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        await self._wyoming.stop()
        await self._engine.stop()
        await self._tasks.stop()
        self._backend.spool.close()
        self._own_scratch.close()

    @bentoml.api(input_spec=Call)
    async def transcribe(self, file: Path, **chosen: Any) -> dict[str, Any]:
        """The transcript of a recording, with segments and words."""
        return await native.transcribe(self._backend, file, self._options(chosen))

    @bentoml.api(input_spec=Call)
    async def transcribe_stream(self, file: Path, **chosen: Any) -> AsyncGenerator[str, None]:
        """The transcript of a recording as JSON lines: segments as they are recognised, then the whole text."""
        async with aclosing(native.transcribe_stream(self._backend, file, self._options(chosen))) as lines:
            async for line in lines:
                yield line

    @bentoml.task(input_spec=Call)
    async def transcribe_task(self, file: Path, **chosen: Any) -> dict[str, Any]:
        """The same as `transcribe`; `submit` returns at once, and the transcript is fetched later."""
        return await native.transcribe(self._backend, file, self._options(chosen))

    def _options(self, chosen: Mapping[str, Any]) -> JobOptions:
        return native.chosen(self._backend.settings, **chosen)


GigaamAsr.add_asgi_middleware(Guard, ours=app)  # type: ignore[attr-defined]  # it is a bentoml.Service
