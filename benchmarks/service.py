"""The server as its clients see it: what HTTP, decoding and scheduling leave of the model's speed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import psutil  # type: ignore[import-untyped]  # published without types
import torch

from asr_core.audio.chunking import ChunkPolicy
from asr_core.audio.decode import decode
from asr_core.audio.segmenter import Segmenter
from asr_core.audio.vad import SileroNetwork
from asr_core.cli.speed import at_once
from asr_core.model.cpu import available_cores
from asr_core.model.recognizer import Recognizer, load_recognizer
from asr_core.settings import Settings
from asr_core.types import INT16_SCALE, VadOptions
from benchmarks import memory
from benchmarks.recordings import SPEECH_QUALITY, Recording, mp3, wav
from benchmarks.server import Server, StreamedJob, running
from benchmarks.timing import Finding, in_turns, seconds_of

HTTP_OVERHEAD = 1.10
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
    with _warm_server(checkpoint, folder, precision) as server:
        own = OwnCompute(load_recognizer(str(checkpoint), precision=precision, device="cpu"))
        yield from long_recording(server, folder)
        yield end_to_end(server, own, mp3(folder, 1800))
        for form in (wav, mp3):
            yield small_clips(server, form(folder, CLIP_S), form(folder, CLIENTS * CLIPS_EACH * CLIP_S))


def run_notes(checkpoint: Path, folder: Path, precision: str) -> Iterator[list[Finding]]:
    """Voice notes while ten hours are being transcribed, against one chunk of these and what the notes take alone."""
    with _warm_server(checkpoint, folder, precision) as server:
        own = OwnCompute(load_recognizer(str(checkpoint), precision=precision, device="cpu"))
        notes, hours = [form(folder, NOTE_S) for form in (wav, mp3)], mp3(folder, LONGEST_S, SPEECH_QUALITY)
        alone = {note: [server.transcribe(note) for _ in range(NOTES)] for note in notes}
        waves = own.chunks(mp3(folder, 60))
        chunk, computed = min(max(own.seconds(waves)) for _ in range(3)), min(own.seconds(own.chunks(notes[0]) * 10))
        with StreamedJob(server, hours) as job:
            job.first_delta.result(timeout=300)
            for note in notes:
                yield fairness(server, note, alone[note], chunk, computed)
    yield [
        Finding(f"{NOTE_S} s clip, the model's own time on one worker", computed, "s"),
        Finding("one chunk of the 10 h job, the model's own time on one worker", chunk, "s"),
    ]


@contextmanager
def _warm_server(checkpoint: Path, folder: Path, precision: str) -> Iterator[Server]:
    with running(checkpoint, folder, PRECISION=precision, MAX_QUEUE=str(2 * CLIENTS)) as server:
        note = wav(folder, NOTE_S)
        for _ in range(3):
            server.transcribe(note)  # the first one sets buffers up
        yield server


class OwnCompute:
    """What the model alone takes for a recording, cut into the chunks that the server makes of it."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._vad = SileroNetwork.load()

    def chunks(self, recording: Recording) -> list[torch.Tensor]:
        """As waveforms."""
        return asyncio.run(self._chunks(recording))

    def seconds(self, waves: list[torch.Tensor]) -> list[float]:
        """Of computing each on one worker."""
        return [seconds_of(partial(at_once, self._recognizer, [wave], 1)) for wave in waves]

    def total(self, waves: list[torch.Tensor]) -> float:
        """Seconds of computing all of them on as many workers as there are cores."""
        return seconds_of(partial(at_once, self._recognizer, waves, available_cores()))

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
        return [torch.from_numpy(chunk.pcm) / INT16_SCALE for chunk in chunks + segmenter.flush()]


def end_to_end(server: Server, own: OwnCompute, recording: Recording) -> list[Finding]:
    """A whole recording over HTTP against the model's own time for the same chunks, in turns."""
    waves = own.chunks(recording)
    served, computed = [], []
    for _ in range(ROUNDS):
        computed.append(own.total(waves))
        served.append(server.transcribe(recording))
    minutes = f"{recording.seconds / 60:.0f} min mp3"
    return [
        Finding(f"{minutes} over HTTP / the model's own time", min(served) / min(computed), at_most=HTTP_OVERHEAD),
        Finding(f"{minutes} over HTTP, seconds of sound a second", recording.seconds / min(served)),
    ]


def long_recording(server: Server, folder: Path) -> Iterator[list[Finding]]:
    """Ten hours: how soon text comes, and how memory grows."""
    minute, hours = mp3(folder, 60), mp3(folder, LONGEST_S, SPEECH_QUALITY)
    server.transcribe(minute)
    watch = memory.is_measurable()
    if watch:
        memory.forget_peak(server.worker)
        server.transcribe(minute)
        usual, written = memory.status(server.worker, "VmHWM"), server.bytes_written()
        memory.forget_peak(server.worker)
    with StreamedJob(server, hours) as job:
        first = job.first_delta.result(timeout=300)
        yield [Finding("first text of a 10 h file, after the upload's end", first, "s", at_most=FIRST_DELTA_S)]
        if watch:
            written = server.bytes_written() - written
            yield [Finding("bytes written to disk / bytes uploaded", written / hours.path.stat().st_size)]
            yield growth(server, usual)


def growth(server: Server, usual: int) -> list[Finding]:
    """Peak memory of the server while a long recording goes on, against `usual` bytes for one of a minute."""
    time.sleep(WATCH_S / 3)
    early = memory.status(server.worker, "VmHWM")
    time.sleep(2 * WATCH_S / 3)
    late = memory.status(server.worker, "VmHWM")
    tools = sum(memory.status(child.pid, "VmHWM") for child in psutil.Process(server.worker).children())
    mib = memory.MIB
    return [
        Finding("peak memory, 10 h file − 60 s file", (late - usual) / mib, "MiB", at_most=GROWTH_MIB),
        Finding(
            f"peak memory, {WATCH_S:.0f} s into the 10 h file − {WATCH_S / 3:.0f} s into it",
            (late - early) / mib,
            "MiB",
        ),
        Finding("peak memory, 60 s file", usual / mib, "MiB"),
        Finding("peak memory of ffmpeg beside the server", tools / mib, "MiB"),
    ]


def fairness(server: Server, note: Recording, alone: list[float], chunk: float, computed: float) -> list[Finding]:
    """A voice note's answer while a long job goes on; all times in s."""
    meanwhile = []
    for _ in range(NOTES):
        time.sleep(random.uniform(0, chunk))  # to arrive at any moment of the running chunks
        meanwhile.append(server.transcribe(note))
    bound = chunk + OWN_COMPUTE * computed
    what = f"{note.seconds:g} s clip, {note.path.suffix[1:]},"
    allowed = f"(one chunk on one worker + {OWN_COMPUTE} × its own compute)"
    return [
        Finding(f"{what} beside a 10 h job, median / {allowed}", median(meanwhile) / bound, at_most=1.0),
        Finding(f"{what} beside a 10 h job, nine in ten / {allowed}", _ninth(meanwhile) / bound, at_most=1.0),
        Finding(f"{what} beside a 10 h job, median", median(meanwhile), "s"),
        Finding(f"{what} beside a 10 h job, nine in ten", _ninth(meanwhile), "s"),
        Finding(f"{what} alone over HTTP, median", median(alone), "s"),
    ]


def _ninth(times: list[float]) -> float:
    return quantiles(times, n=10)[-1]


def small_clips(server: Server, clip: Recording, long: Recording) -> list[Finding]:
    """Many clients with a clip after another, against one client with as much sound in one file, in turns."""

    def together() -> None:
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(lambda _: server.transcribe(clip), range(CLIENTS * CLIPS_EACH)))

    times = in_turns({"clips": together, "long": lambda: server.transcribe(long)}, 0, at_least=ROUNDS + 1)
    ratio = min(times["long"]) / min(times["clips"])
    what = f"{CLIENTS} clients with {clip.seconds:g} s clips, {clip.path.suffix[1:]}"
    return [
        Finding(f"throughput of {what} / of one long file", ratio, at_least=CLIPS_THROUGHPUT),
        Finding(f"{what}, seconds of sound a second", long.seconds / min(times["clips"])),
    ]
