"""What the metrics say, and that the dashboard asks for nothing else."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.samples import Sample

from asr_core.api.metrics import Metrics
from asr_core.engine.engine import Engine
from asr_core.errors import BadAudio, FfmpegMissing, QueueFull
from asr_core.settings import Settings
from tests.conftest import REPOSITORY

DASHBOARD = REPOSITORY / "docs" / "grafana-dashboard.json"


@pytest.fixture
def engine() -> Engine:
    """One that has not been started."""
    return Engine(Settings(model="demo", precision="fp32"))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_the_engine_is_asked_when_the_metrics_are_read(metrics: Metrics, engine: Engine, speech: Path) -> None:
    metrics.watch(engine)
    assert value(metrics, "asr_model_loaded") == 0
    assert value(metrics, "asr_model_info", model="demo", device="", precision="") == 1
    assert value(metrics, "asr_real_time_factor") == 0
    asyncio.run(_hear(engine, speech, metrics))


async def _hear(engine: Engine, speech: Path, metrics: Metrics) -> None:
    await engine.start()
    while not engine.status.loaded:
        await asyncio.sleep(0.02)
    async with engine.open(speech) as job:
        transcript = await job.transcript()
    assert value(metrics, "asr_model_loaded") == 1
    assert value(metrics, "asr_model_info", model="demo", device="cpu", precision="fp32") == 1
    assert value(metrics, "asr_heard_seconds_total") == pytest.approx(transcript.duration_s)
    assert value(metrics, "asr_real_time_factor") == pytest.approx(engine.tally.compute_s / engine.tally.audio_s)
    assert (value(metrics, "asr_queue_chunks"), value(metrics, "asr_queue_wait_seconds_count")) == (0, 1)
    await engine.stop()


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "done"),
        (QueueFull(2), "busy"),
        (BadAudio("broken"), "bad_request"),
        (asyncio.CancelledError(), "cancelled"),
        (FfmpegMissing("missing"), "failed"),
    ],
)
def test_a_transcription_counts_once_under_its_outcome(
    metrics: Metrics, error: BaseException | None, outcome: str
) -> None:
    def transcribe() -> None:
        with metrics.job():
            assert value(metrics, "asr_open_jobs") == 1
            if error:
                raise error

    if error:
        with pytest.raises(type(error)):
            transcribe()
    else:
        transcribe()
    assert value(metrics, "asr_open_jobs") == 0
    counted = {sample.labels["outcome"]: sample.value for sample in _samples(metrics, "asr_jobs_total")}
    assert counted == {outcome: 1}


def test_a_failed_request_counts_under_the_name_of_its_error(metrics: Metrics) -> None:
    with pytest.raises(BadAudio), metrics.request():
        raise BadAudio("broken")
    with pytest.raises(asyncio.CancelledError), metrics.request():
        raise asyncio.CancelledError
    with metrics.request():
        pass
    counted = {sample.labels["kind"]: sample.value for sample in _samples(metrics, "asr_failures_total")}
    assert counted == {"BadAudio": 1}


def test_the_dashboard_asks_for_every_metric_and_for_none_that_does_not_exist(metrics: Metrics, engine: Engine) -> None:
    metrics.watch(engine)
    exposed: dict[str, str] = {}
    """Name of a series → name of its metric."""
    for family in metrics.registry.collect():
        suffixes = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count"), "counter": ("_total",)}
        exposed |= {family.name + suffix: family.name for suffix in suffixes.get(family.type, ("",))}
        exposed |= {f"{family.name}_info": family.name} if family.type == "info" else {}
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = set(re.findall(r"\basr_\w+", " ".join(expressions)))
    assert asked <= exposed.keys()
    assert {exposed[name] for name in asked} == set(exposed.values())


def test_the_dashboard_is_valid_for_any_data_source_and_its_panels_do_not_overlap() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        place = panel["gridPos"]
        covered = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not covered & cells
        assert max(x for x, _ in covered) < 24
        cells |= covered
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_metric_is_explained(metrics: Metrics, engine: Engine) -> None:
    metrics.watch(engine)
    text = generate_latest(metrics.registry).decode()
    helps = re.findall(r"^# HELP asr_(\w+) (.*)$", text, re.MULTILINE)
    assert helps
    assert all(len(explanation) > 10 for _, explanation in helps)


def _samples(metrics: Metrics, name: str) -> list[Sample]:
    return [sample for family in metrics.registry.collect() for sample in family.samples if sample.name == name]
