"""Transcribing on a Ray cluster."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from asr_core.cli.batch import Gone, Heard
from asr_core.cli.local import LocalTranscriber, local_transcriber
from asr_core.errors import AsrError
from asr_core.settings import Settings
from asr_core.types import Transcript

RETRIES = 3
"""Workers that a recording may lose before it is the one to blame."""


class Worker:
    """An actor: one recogniser, on one machine of the cluster. Its methods run on the actor's event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._scope = AsyncExitStack()
        self._transcriber: LocalTranscriber | None = None

    async def transcribe(self, path: Path) -> Transcript:
        """What LocalTranscriber does, with the model loaded for the first recording."""
        async with self._opening:
            if self._transcriber is None:
                opening = local_transcriber(self._settings, say=lambda _: None)
                self._transcriber = await self._scope.enter_async_context(opening)
        return await self._transcriber.transcribe(path, heard=lambda _: None)
