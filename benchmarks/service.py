"""The server as its clients see it: what HTTP, decoding and scheduling leave of the model's speed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles

import psutil  # type: ignore[import-untyped]  # published without types
import torch

from asr_core.audio.chunking import ChunkPolicy
from asr_core.audio.decode import decode
from asr_core.audio.segmenter import Segmenter
from asr_core.audio.vad import SileroNetwork
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.settings import Settings
from asr_core.types import VadOptions
from benchmarks import memory
from benchmarks.recordings import SPEECH_QUALITY, Recording, mp3
from benchmarks.server import Server, StreamedJob, running
from benchmarks.timing import Finding, in_turns, seconds_of

HTTP_OVERHEAD = 1.15
FIRST_DELTA_S = 3.0
GROWTH_MIB = 150.0
OWN_COMPUTE = 1.5
CLIPS_THROUGHPUT = 0.9

ROUNDS = 2
LONGEST_S = 35_990
"""Ten hours, less what an mp3's header may claim beyond its sound: the server takes ten hours at most."""
WATCH_S = 45.0
CLIENTS, CLIPS_EACH, CLIP_S = 10, 6, 5
NOTE_S, NOTES = 3, 25


def run(checkpoint: Path, folder: Path, precision: str) -> Iterator[list[Finding]]:
    """Start a server and measure it, giving what has been found as it is found."""
    own = OwnCompute(load_recognizer(str(checkpoint), precision=precision, device="cpu"))
    settings = {"PRECISION": precision, "MAX_QUEUE": str(2 * CLIENTS)}
    with running(checkpoint, folder, **settings) as server:
        note = mp3(folder, NOTE_S)
        for _ in range(3):
            server.transcribe(note)  # the first one sets buffers up
        yield from long_recording(server, note, own, folder)
        yield end_to_end(server, own, mp3(folder, 1800))
        yield small_clips(server, mp3(folder, CLIP_S), mp3(folder, CLIENTS * CLIPS_EACH * CLIP_S))


class OwnCompute:
    """What the model alone takes for a recording, cut into the chunks that the server makes of it."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._vad = SileroNetwork.load()

    def chunks(self, recording: Recording) -> list[torch.Tensor]:
        """As waveforms."""
        return asyncio.run(self._chunks(recording))

    def seconds(self, waves: list[torch.Tensor]) -> list[float]:
        """Of computing each."""
        return [seconds_of(lambda wave=wave: self._recognizer.recognize([wave])) for wave in waves]  # type: ignore[misc]

    async def _chunks(self, recording: Recording) -> list[torch.Tensor]:
        settings = Settings(_env_file=None)
        policy = ChunkPolicy.from_seconds(
            min_duration=settings.vad_min_duration,
            max_duration=settings.vad_max_duration,
            strict_limit=settings.vad_strict_limit,
            new_chunk_threshold=settings.vad_new_chunk_threshold,
        )
        segmenter = Segmenter(self._vad, policy, VadOptions(threshold=settings.vad_threshold))
        async with decode(recording.path, max_seconds=settings.max_audio_seconds) as blocks:
            chunks = [chunk async for block in blocks for chunk in segmenter.push(block)]
        return [torch.from_numpy(chunk.pcm) / 32_768.0 for chunk in chunks + segmenter.flush()]


def end_to_end(server: Server, own: OwnCompute, recording: Recording) -> list[Finding]:
    """A whole recording over HTTP against the model's own time for the same chunks, in turns."""
    waves = own.chunks(recording)
    served, computed = [], []
    for _ in range(ROUNDS):
        computed.append(sum(own.seconds(waves)))
        served.append(server.transcribe(recording))
    minutes = f"{recording.seconds / 60:.0f} min mp3"
    return [
        Finding(f"{minutes} over HTTP / the model's own time", min(served) / min(computed), at_most=HTTP_OVERHEAD),
        Finding(f"{minutes} over HTTP, seconds of sound a second", recording.seconds / min(served)),
    ]


def long_recording(server: Server, note: Recording, own: OwnCompute, folder: Path) -> Iterator[list[Finding]]:
    """Ten hours: how soon text comes, how memory grows, and how others fare meanwhile."""
    minute, hours = mp3(folder, 60), mp3(folder, LONGEST_S, SPEECH_QUALITY)
    alone = [server.transcribe(note) for _ in range(NOTES)]
    batch, computed = _batch_and_note(own, minute, note)
    peak_of_minute = peak(server, lambda: server.transcribe(minute))
    written, size = server.bytes_written() if memory.is_measurable() else 0, hours.path.stat().st_size
    with StreamedJob(server, hours) as job:
        first = job.first_delta.result(timeout=300)
        yield [Finding("first text of a 10 h file, after the upload's end", first, "s", at_most=FIRST_DELTA_S)]
        if memory.is_measurable():
            written = server.bytes_written() - written
            yield [
                *growth(server, peak_of_minute),
                Finding("bytes written to disk / bytes uploaded", written / size),
            ]
        yield fairness(server, note, alone, batch, computed)


def peak(server: Server, work: object) -> float:
    raise NotImplementedError
