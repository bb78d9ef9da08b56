"""What the server tells Prometheus about itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from asr_core.errors import BadRequest, Busy

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


class Metrics:
    """The project's metrics in `registry`; one instance a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.jobs = Counter(
            "asr_jobs",
            "Transcriptions, by outcome: done, busy, bad_request, cancelled, failed",
            ["outcome"],
            registry=registry,
        )
        self.open_jobs = Gauge(
            "asr_open_jobs", "Transcriptions in hand", multiprocess_mode="livesum", registry=registry
        )
        self.audio_seconds = Counter("asr_audio_seconds", "Seconds of recordings transcribed", registry=registry)
        self.job_seconds = Histogram(
            "asr_job_seconds", "Wall time of a transcription", buckets=_SECONDS, registry=registry
        )
        self.first_delta_seconds = Histogram(
            "asr_first_delta_seconds",
            "From the end of the upload to the first text of a stream",
            buckets=_SECONDS,
            registry=registry,
        )

    @contextmanager
    def job(self) -> Iterator[None]:
        """Count what happens inside the block as one transcription."""
        started = perf_counter()
        try:
            with self.open_jobs.track_inprogress():
                yield
        except BaseException as exc:
            self.jobs.labels(_outcome(exc)).inc()
            raise
        self.jobs.labels("done").inc()
        self.job_seconds.observe(perf_counter() - started)


def _outcome(exc: BaseException) -> str:
    """How a transcription that `exc` ended is counted; what is no Exception is a cancellation."""
    if isinstance(exc, Busy):
        return "busy"
    if isinstance(exc, BadRequest):
        return "bad_request"
    return "failed" if isinstance(exc, Exception) else "cancelled"
