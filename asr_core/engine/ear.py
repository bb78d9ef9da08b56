"""A live session's way to the model: speech detection in steps of 32 ms, and hearings ahead of files' chunks."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self

from asr_core.audio.vad import SileroNetwork, SpeechProbabilities
from asr_core.engine.dispatcher import Dispatcher
from asr_core.engine.hints import Listening
from asr_core.engine.models import Models
from asr_core.model.threads import using_threads
from asr_core.types import Hints, Hypothesis, Pcm, Probabilities


class Ear:
    """Listens to one stream of sound; hears it with `model` until it is told otherwise, and asks for that meanwhile.

    Speech is detected in a thread of the session's own: a worker may be busy for longer than a speaker is to wait, and
    a step takes a third of a millisecond.
    """

    def __init__(self, network: SileroNetwork, dispatcher: Dispatcher, models: Models, model: str) -> None:
        self._probabilities = SpeechProbabilities(network, batch_windows=1)
        self._dispatcher = dispatcher
        self._models = models
        self._wanted = (model, Hints())
        self._listening: Listening | None = None
        self._asking = ExitStack()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ear")

    def __enter__(self) -> Self:
        self._asking.enter_context(self._models.asked_for(self._wanted[0]))
        return self

    def __exit__(self, *_: object) -> None:
        self._asking.close()
        self._listening = None  # whoever keeps the ear does not keep the model
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def attend(self, model: str, hints: Hints) -> None:
        """Hear what comes with `model`, and listen for what `hints` and the server's own list name.

        A model that has to be loaded first is waited for by what is to be heard, not here.
        """
        with self._asking:
            self._asking = ExitStack()
            self._asking.enter_context(self._models.asked_for(model))
        self._wanted, self._listening = (model, hints), None
        if model in self._models:
            await self._listen()

    async def probabilities(self, pcm: Pcm) -> Probabilities:
        """Take the next of the sound; give the speech probabilities [N] of the VAD windows that it completes."""

        def detect() -> Probabilities:
            with using_threads(1):
                return self._probabilities.push(pcm)

        return await asyncio.get_running_loop().run_in_executor(self._thread, detect)

    async def hear(self, pcm: Pcm) -> Hypothesis:
        """What the model makes of `pcm`, of 20 s at most. Raises RecognitionFailed or ModelNotReady."""
        listening = await self._listen()
        return await self._dispatcher.hear(pcm, listening.recognizer, listening.glossary)

    async def _listen(self) -> Listening:
        if self._listening is not None:
            return self._listening
        wanted = self._wanted
        listening = await self._models.listening(*wanted)
        if wanted is self._wanted:  # which may have changed meanwhile
            self._listening = listening
        return listening
