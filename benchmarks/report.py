"""Results: a JSON file for each machine, a page of tables over all of them, a plot."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.contestants import BASELINE
from benchmarks.engine import Rtf
from benchmarks.machine import slug
from benchmarks.model import random_label
from benchmarks.timing import Finding

USUAL_MODEL = random_label("v3_ctc")
RESULTS = Path(__file__).resolve().parent / "results"

_INTRODUCTION = """# Speed and losses, measured

`make bench` measures anew; with the dependency group `bench` also ONNX Runtime and OpenVINO. All that is compared was
run in turns, in one go, on one machine; each time is the least of several. RTF is seconds of computing per second of
sound. The eager baseline is `reference/eager.py`: the network as upstream runs it, in plain PyTorch. Random weights
have the sizes of the official ones, and a blank biased so that about 15 characters a second come out. Longform (`make
bench ARGS=longform`, with the dependency group `demo-model`, espeak-ng and festival) compares words heard in a long
recording with those of its sentences alone, just as loud and in the same noise.
"""
_MARKS = {True: "yes", False: "**no**", None: ""}


@dataclass(slots=True)
class Results:
    """Everything known of one machine; parts that are measured again replace what was known."""

    machine: dict[str, Any]
    model: str
    rtf: Rtf = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    """By part."""

    @classmethod
    def open(cls, folder: Path, machine: dict[str, Any], model: str) -> Results:
        """What `folder` holds of this machine and model, if it holds anything."""
        results = cls(machine, model)
        if results.path(folder).exists():
            known = load(results.path(folder))
            results.rtf, results.findings = known.rtf, known.findings
        return results

    def path(self, folder: Path, suffix: str = ".json") -> Path:
        """Of this machine and model; v3_ctc's sizes are what is meant where a name says nothing of the model."""
        names = [self.machine["name"], *([] if self.model == USUAL_MODEL else [self.model])]
        return folder / f"{slug('-'.join(names))}{suffix}"

    def forget(self, part: str) -> None:
        """Begin a part anew."""
        self.findings[part] = []
        if part == "engine":
            self.rtf = {}

    def save(self, folder: Path) -> None:
        """Write the JSON file, and the page and the plot anew."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path(folder).write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        if any(BASELINE in row for row in self.rtf.values()) and find_spec("matplotlib"):
            from benchmarks.plot import draw  # noqa: PLC0415 - matplotlib is optional

            draw(self.rtf, self.machine["name"], self.path(folder, ".png"))
        everyone = [load(path) for path in sorted(folder.glob("*.json"), key=lambda path: path.stem)]
        sections = [section(results, folder) for results in everyone]
        (folder / "README.md").write_text("\n".join([_INTRODUCTION, *sections]), encoding="utf-8")


def title(part: str) -> str:
    """With a capital; what has some keeps them."""
    return part[:1].upper() + part[1:]


def load(path: Path) -> Results:
    known = json.loads(path.read_text(encoding="utf-8"))
    findings = {part: [Finding(**finding) for finding in found] for part, found in known["findings"].items()}
    return Results(known["machine"], known["model"], known["rtf"], findings)


def section(results: Results, folder: Path) -> str:
    """One machine in Markdown: ratios first."""
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    parts = [
        f"## {machine['name']}{'' if results.model == USUAL_MODEL else f': {results.model}'}\n",
        f"{machine['date']}, {machine['cores']} cores used, {' '.join(machine['instruction_sets'])}; {versions}. "
        f"Model: {results.model}.\n",
    ]
    for name, findings in results.findings.items():
        parts.append(f"### {title(name)}\n\n{findings_table(findings)}")
    if any(BASELINE in row for row in results.rtf.values()):
        parts.append(f"### Times faster than {BASELINE}\n\n{_matrix(results.rtf, as_ratio=True)}")
    if results.rtf:
        parts.append(f"### RTF\n\n{_matrix(results.rtf, as_ratio=False)}")
    plot = results.path(folder, ".png")
    if plot.exists():
        parts.append(f"![RTF by contestant]({plot.name})\n")
    return "\n".join(parts)


def findings_table(findings: Sequence[Finding]) -> str:
    """Ratios, then what else has a target, then the rest."""
    ordered = sorted(findings, key=lambda finding: (finding.is_met is None, finding.unit != "×"))
    rows = [(f.what, _quantity(f.value, f.unit), _target(f), _MARKS[f.is_met]) for f in ordered]
    return _table(("", "measured", "target", "met"), rows)


def line(finding: Finding) -> str:
    """A finding for the terminal."""
    verdict = {True: "ok", False: "MISSED", None: "--"}[finding.is_met]
    target = f"  ({_target(finding)})" if _target(finding) else ""
    return f"  {verdict:>6}  {finding.what}: {_quantity(finding.value, finding.unit)}{target}"


def _matrix(rtf: Rtf, *, as_ratio: bool) -> str:
    names = list(dict.fromkeys(name for row in rtf.values() for name in row))
    cases = list(rtf)
    rows = []
    for name in names:
        if as_ratio:
            rows.append((name, *(f"{rtf[case][BASELINE] / rtf[case][name]:.2f}" for case in cases)))
        else:
            rows.append((name, *(f"{rtf[case][name]:.4f}" for case in cases)))
    return _table(("", *cases), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _target(finding: Finding) -> str:
    if finding.at_least is not None:
        return f"≥ {_quantity(finding.at_least, finding.unit)}"
    return f"≤ {_quantity(finding.at_most, finding.unit)}" if finding.at_most is not None else ""


def _quantity(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 else 1 if unit == "%" or abs(value) >= 10 else 2 if unit != "s" else 3
    number = f"{value:.{digits}f}"
    return f"{number} ×" if unit == "×" else f"{number} {unit}"
