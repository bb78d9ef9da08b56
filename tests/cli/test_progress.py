"""What is said while a batch runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_core.cli.plan import BatchItem
from asr_core.cli.progress import Report


def test_what_a_recording_lacks_is_told_beside_its_name_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    items = [BatchItem(Path(label), label, {}) for label in ("whole.mp3", "cut.mp3")]
    with Report(len(items)) as report:
        for index, (item, warnings) in enumerate(zip(items, [(), ("Its end is missing.", "So is more.")], strict=True)):
            report.start(index, item)
            report.finish(index, item, 1.0, warnings)
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert told == ["warning: cut.mp3: Its end is missing. So is more."]
