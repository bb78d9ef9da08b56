"""The picture: RTF of everybody, one recording at a time."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from benchmarks.contestants import BASELINE
from benchmarks.engine import LENGTHS_S, Case, Rtf

OURS, OTHERS = "#2563a8", "#b8bec6"


def draw(rtf: Rtf, title: str, path: Path) -> None:
    """Bars by contestant for the shortest and the longest recording, labelled with what eager's time is to each."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of a backend

    cases = [case for case in (Case(1, LENGTHS_S[0]).name, Case(1, LENGTHS_S[-1]).name) if case in rtf]
    figure, axes = plt.subplots(1, len(cases) or 1, figsize=(4.6 * max(1, len(cases)), 3.4), squeeze=False, sharey=True)
    for axis, case in zip(axes[0], cases, strict=False):
        row = rtf[case]
        bars = axis.barh(list(row), list(row.values()), color=[OURS if n.startswith("ours") else OTHERS for n in row])
        labels = [f"{value:.4f} ({row[BASELINE] / value:.1f}×)" for value in row.values()]
        axis.bar_label(bars, labels, padding=3, fontsize=8)
        axis.set_xlim(0, 1.45 * max(row.values()))
        axis.set_title(case, fontsize=9)
        axis.set_xlabel("RTF: less is faster", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    if cases:
        axes[0][0].invert_yaxis()
    figure.suptitle(f"{title} (in brackets: {BASELINE}'s time / its time)", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
