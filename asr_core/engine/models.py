"""The models that a server has: in memory while somebody asks for them, loaded again on demand."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

import torch

from asr_core.engine.hints import Glossaries, Listening
from asr_core.engine.uses import Uses
from asr_core.errors import AsrError, ModelNotReady, ServerStopping
from asr_core.model.download import Progress
from asr_core.model.heap import give_back
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.model.threads import dismiss_helpers
from asr_core.process_memory import resident_mib
from asr_core.settings import Settings
from asr_core.types import Hints, Keyword

log = logging.getLogger(__name__)


class Load(Protocol):
    """Loads the model; while it downloads, it calls `progress`, which may raise to stop it."""

    def __call__(self, progress: Progress) -> Recognizer: ...


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a model once it has been loaded, whether or not it still is."""

    device: str
    precision: str
    precision_reason: str
    kernels: str
    languages: tuple[str, ...]

    @classmethod
    def of(cls, model: Recognizer) -> Self:
        return cls(model.device, model.precision, model.precision_reason, model.kernels, model.languages)


class Models:
    """The models, by name. All but `load_all` and what it calls is of the event loop, so there are no locks.

    A model that nobody has asked for in `idle_s` seconds is dropped by `drop_idle`. Loads go one at a time, in a thread
    of their own: what is in memory is heard with meanwhile.
    """

    def __init__(
        self,
        loads: Mapping[str, Load],
        always: Sequence[Keyword] = (),
        report: Progress = lambda file, done, total: None,
        *,
        idle_s: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`loads` has what loads each; `always` is listened for in every recording; `report` is told of downloads."""
        self.about: dict[str, About] = {}
        """Those that have been loaded, from then on."""
        self._loads = loads
        self._always = always
        self._report = report
        self._idle_s = idle_s
        self._uses = Uses(loads, idle_s, clock)
        self._loaded: dict[str, Glossaries] = {}
        self._loading: dict[str, asyncio.Future[Glossaries]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._stopping = threading.Event()

    def __contains__(self, name: str) -> bool:
        """Whether it is in memory at the moment."""
        return name in self._loaded

    @property
    def recognizers(self) -> list[Recognizer]:
        """Those in memory."""
        return [glossaries.recognizer for glossaries in self._loaded.values()]

    async def load_all(self) -> None:
        """Have all in memory, one after the other. Raises what the first one raises that cannot be loaded."""
        for name in self._loads:
            await self._have(name)

    @contextmanager
    def asked_for(self, name: str) -> Iterator[None]:
        """Scope in which somebody asks for the model: it is not dropped."""
        self._uses.begin(name)
        try:
            yield
        finally:
            self._uses.end(name)

    async def listening(self, name: str, hints: Hints) -> Listening:
        """The model, which is loaded first where it is not in memory, and what it is to listen for.

        All who wait share one load, and what it comes to; whoever asks after that tries anew. Raises ModelNotReady.
        """
        try:
            glossaries = await self._have(name)
        except ModelNotReady:
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, AsrError) else "The log says why."
            raise ModelNotReady(f"The model {name} could not be loaded again. {reason}") from error
        return await glossaries.find(hints)

    def drop_idle(self) -> list[str]:
        """Drop those that are idle, and tell which; their memory is free, and still this process's."""
        dropped = [name for name in self._uses.idle() if name in self._loaded]
        for name in dropped:
            del self._loaded[name]
        return dropped

    async def tend(self) -> None:
        """Give idle models' memory back to the system, for ever."""
        while True:
            if dropped := self.drop_idle():
                await asyncio.to_thread(_return_memory)
                memory = f"; the process has {mib} MiB of memory" if (mib := resident_mib()) else ""
                log.info("Nobody has asked for %s in %g min: unloaded%s", ", ".join(dropped), self._idle_s / 60, memory)
            await asyncio.sleep(self._uses.next_look_s())

    async def stop(self) -> None:
        """End with ServerStopping what waits for a load, and wait for that load; a download ends at its next piece."""
        self._stopping.set()
        for loading in self._loading.values():
            loading.set_exception(ServerStopping())
        self._loading.clear()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def _have(self, name: str) -> Glossaries:
        """Raises what loading raises."""
        if name in self._loaded:
            return self._loaded[name]
        if self._stopping.is_set():
            raise ServerStopping
        if name not in self._loading:
            self._begin_loading(name)
        return await asyncio.shield(self._loading[name])  # who leaves ends no load that others wait for

    def _begin_loading(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        loading = self._loading[name] = loop.create_future()
        loading.add_done_callback(asyncio.Future.exception)  # whether or not anybody waits for it
        in_thread = loop.run_in_executor(self._thread, self._loads[name], self._progress)
        in_thread.add_done_callback(partial(self._end_loading, name, loading, time.perf_counter()))

    def _end_loading(
        self, name: str, loading: asyncio.Future[Glossaries], begin: float, in_thread: asyncio.Future[Recognizer]
    ) -> None:
        if loading.done() or in_thread.cancelled():  # the server stops
            return
        del self._loading[name]
        if error := in_thread.exception():
            if name in self.about:
                trace = None if isinstance(error, AsrError) else error
                log.error("The model %s could not be loaded again: %s", name, error, exc_info=trace)
            loading.set_exception(error)
            return
        recognizer = in_thread.result()
        if name in self.about:
            log.info("Loaded %s again in %.1f s", name, time.perf_counter() - begin)
        self.about[name] = About.of(recognizer)
        self._loaded[name] = Glossaries(recognizer, self._always)
        self._uses.touch(name)
        loading.set_result(self._loaded[name])

    def _progress(self, file: str, done: int, total: int | None) -> None:
        if self._stopping.is_set():
            raise ServerStopping
        self._report(file, done, total)


def _return_memory() -> None:
    give_back()
    torch.cuda.empty_cache()  # nothing where there is no such device
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def loader(settings: Settings, model: str) -> Load:
    """What loads `model` as `settings` have it."""

    def load(progress: Progress) -> Recognizer:
        try:
            return load_recognizer(
                model,
                precision=settings.precision,
                device=settings.device,
                threads=settings.num_threads or None,
                models_dir=settings.models_dir,
                models_url=settings.models_url,
                engine=settings.engine,
                progress=progress,
            )
        finally:
            dismiss_helpers()  # or there are more than cores, and those of a worker sleep between any two products

    return load
