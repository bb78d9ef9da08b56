"""What becomes of knowing when a job's stages run: nothing by default, OpenTelemetry spans where there is a tracer.

The stages: `decode`, to begin with and then for each block of sound; meanwhile `vad` for the blocks that there are by
then, with the wait for a free worker; `queue` and `model` for each chunk, and `voices` where they are told apart;
`render` for an answer that is not streamed.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


class Stages(Protocol):
    """One job's stages; made in the task that opens the job."""

    def running(self, name: str) -> AbstractContextManager[Any]:
        """Scope of a stage; what it raises belongs to the stage and passes through."""

    def over(self, name: str, seconds: float) -> None:
        """A stage ends now that began `seconds` ago."""


class NoStages:
    """Nobody wants to know."""

    def running(self, name: str) -> AbstractContextManager[Any]:
        return nullcontext()

    def over(self, name: str, seconds: float) -> None:
        pass


class TracedStages:
    """Stages as children of the span that is current where this is made, which is the request's."""

    def __init__(self, tracer: Tracer) -> None:
        from opentelemetry import context  # noqa: PLC0415 - comes with whoever brings a tracer

        self._tracer = tracer
        self._parent = context.get_current()

    def running(self, name: str) -> AbstractContextManager[Any]:
        return self._tracer.start_as_current_span(name, self._parent)

    def over(self, name: str, seconds: float) -> None:
        now = time.time_ns()
        self._tracer.start_span(name, self._parent, start_time=now - int(seconds * 1e9)).end(now)
