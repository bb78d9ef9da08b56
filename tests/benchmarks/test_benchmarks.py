"""The benchmarks' own machinery: what it reports can be relied on. Nothing here is timed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from asr_core.cli import sample
from asr_core.model.linear import Target
from asr_core.model.recognizer import NativeRecognizer
from benchmarks import report
from benchmarks.contestants import BASELINE
from benchmarks.model import CALIBRATION_S, CHARACTERS_PER_S, make_talkative
from benchmarks.timing import Finding, in_turns
from reference.checkpoints import configuration, random_weights, save

MACHINE: dict[str, Any] = {"name": "A (B), 2 cores", "cores": 2, "instruction_sets": [], "versions": {}, "date": "-"}


def test_contestants_take_turns() -> None:
    calls: list[str] = []
    times = in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 0, at_least=3)
    assert calls == ["a", "b"] * 4
    assert {name: len(each) for name, each in times.items()} == {"a": 3, "b": 3}


def test_random_weights_speak_as_fast_as_people_and_in_words(tmp_path: Path) -> None:
    cfg = configuration("v3_ctc")
    weights = random_weights(cfg)
    make_talkative(cfg, weights)
    path = save(tmp_path, "talkative", cfg, weights)
    recognizer = NativeRecognizer(path, tmp_path, Target(torch.device("cpu"), "fp32"))
    (hypothesis,) = recognizer.recognize([sample.waveform(CALIBRATION_S * 16_000)])
    assert len(hypothesis.tokens) == pytest.approx(CHARACTERS_PER_S * CALIBRATION_S, rel=0.1)
    assert 2 < len(hypothesis.text) / len(hypothesis.text.split()) < 20


@pytest.mark.parametrize(
    ("finding", "met"),
    [
        (Finding("a", 2.0, at_least=2.0), True),
        (Finding("a", 1.9, at_least=2.0), False),
        (Finding("a", 2.1, at_most=2.0), False),
        (Finding("a", 2.0), None),
    ],
)
def test_a_finding_knows_whether_it_meets_its_target(finding: Finding, met: bool | None) -> None:
    assert finding.is_met is met


def test_results_outlive_the_measuring_of_another_part(tmp_path: Path) -> None:
    first = report.Results(MACHINE, "random", {"1 × 2 s": {BASELINE: 0.05, "ours int8": 0.01}})
    first.findings["engine"] = [Finding("slow", 1.0, at_least=2.0)]
    first.save(tmp_path)
    second = report.Results.open(tmp_path, MACHINE, "random")
    second.findings["service"] = [Finding("quick", 3.0, "s", at_most=4.0)]
    second.save(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "| slow | 1.00 × | ≥ 2.00 × | **no** |" in page
    assert "| quick | 3.000 s | ≤ 4.000 s | yes |" in page
    assert "| ours int8 | 5.00 |" in page
    assert report.load(tmp_path / "a-b-2-cores-random.json") == second


def test_one_models_results_stand_beside_anothers(tmp_path: Path) -> None:
    for model in (report.USUAL_MODEL, "random weights, others' sizes"):
        results = report.Results.open(tmp_path, MACHINE, model)
        assert not results.findings
        results.findings["engine"] = [Finding(f"of {model}", 1.0)]
        results.save(tmp_path)
    page = (tmp_path / "README.md").read_text()
    usual, other = page.split("## A (B), 2 cores: random weights, others' sizes\n")
    assert "## A (B), 2 cores\n" in usual
    assert f"| of {report.USUAL_MODEL} |" in usual
    assert "| of random weights, others' sizes |" in other
    assert (tmp_path / "a-b-2-cores.json").exists()
