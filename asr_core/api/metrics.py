"""What the server tells Prometheus about itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from asr_core.errors import BadRequest, Busy

if TYPE_CHECKING:
    from asr_core.engine.engine import Engine

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


class EngineCollector(Collector):
    """The engine's own numbers, read when they are asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        engine, status, tally = self._engine, self._engine.status, self._engine.tally
        yield CounterMetricFamily("asr_heard_seconds", "Seconds of sound that the model has heard", tally.audio_s)
        yield CounterMetricFamily("asr_compute_seconds", "Seconds that workers took for it, added up", tally.compute_s)
        yield GaugeMetricFamily(
            "asr_real_time_factor",
            "Compute seconds for each second of sound heard since the start; lower is faster",
            tally.compute_s / tally.audio_s if tally.audio_s else 0.0,
        )
        yield GaugeMetricFamily("asr_queue_chunks", "Chunks that wait for the model", engine.n_waiting)
        yield SummaryMetricFamily(
            "asr_queue_wait_seconds", "How long chunks wait for the model", tally.n_waited, tally.wait_s
        )
        yield GaugeMetricFamily("asr_live_sessions", "Live sessions that are open", engine.n_live)
        yield CounterMetricFamily(
            "asr_live_compute_seconds", "Seconds that workers took for live sessions, added up", tally.live_compute_s
        )
        yield GaugeMetricFamily("asr_model_loaded", "1 once the model can be used", float(status.ready))
        in_memory = GaugeMetricFamily(
            "asr_model_in_memory", "0 for a model that will be loaded when it is asked for", labels=["model"]
        )
        for name, is_there in engine.in_memory.items():
            in_memory.add_metric([name], is_there)
        yield in_memory
        labels = {"model": status.model, "device": status.device or "", "precision": status.precision or ""}
        yield InfoMetricFamily("asr_model", "What recognises", labels)


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

        self.failures = Counter(
            "asr_failures",
            "Requests with a recording that were refused or failed, by kind of error",
            ["kind"],
            registry=registry,
        )

    def watch(self, engine: Engine) -> None:
        """Have `engine` asked for its numbers whenever the metrics are read."""
        self.registry.register(EngineCollector(engine))

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count the failure of the request that is handled inside the block, if it fails."""
        try:
            yield
        except Exception as exc:
            self.failed(exc)
            raise

    def failed(self, exc: Exception) -> None:
        """Count a request that `exc` ended; each once."""
        self.failures.labels(type(exc).__name__).inc()

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
