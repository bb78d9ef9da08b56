"""A live session's way to the model: speech detection in steps of 32 ms, and hearings ahead of files' chunks."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from asr_core.audio.vad import SileroNetwork, SpeechProbabilities
from asr_core.engine.dispatcher import Dispatcher
from asr_core.engine.hints import Glossaries
from asr_core.model.glossary import Glossary
from asr_core.model.threads import using_threads
from asr_core.types import Hints, Hypothesis, Pcm, Probabilities


class Ear:
    """Listens to one stream of sound; hears it with `model` until it is told otherwise.

    Speech is detected in a thread of the session's own: a worker may be busy for longer than a speaker is to wait, and
    a step takes a third of a millisecond.
    """

    def __init__(self, network: SileroNetwork, dispatcher: Dispatcher, glossaries: Glossaries, model: str) -> None:
        self._probabilities = SpeechProbabilities(network, batch_windows=1)
        self._dispatcher = dispatcher
        self._glossaries = glossaries
        self._model = model
        self._glossary: Glossary | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ear")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def attend(self, model: str, hints: Hints) -> None:
        """Hear what comes with the loaded `model`, and listen for what `hints` and the server's own list name."""
        listening = await self._glossaries.find(model, hints)
        self._model, self._glossary = model, listening.glossary

    async def probabilities(self, pcm: Pcm) -> Probabilities:
        """Take the next of the sound; give the speech probabilities [N] of the VAD windows that it completes."""

        def detect() -> Probabilities:
            with using_threads(1):
                return self._probabilities.push(pcm)

        return await asyncio.get_running_loop().run_in_executor(self._thread, detect)

    async def hear(self, pcm: Pcm) -> Hypothesis:
        """What the model makes of `pcm`, of 20 s at most. Raises RecognitionFailed or ModelNotReady."""
        return await self._dispatcher.hear(pcm, self._model, self._glossary)
