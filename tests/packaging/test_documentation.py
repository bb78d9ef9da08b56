"""What users read about the settings is what the settings are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asr_core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]

ENV_LINE = re.compile(r"^#?([A-Z][A-Z_]*)=(.*)$", re.MULTILINE)
TABLE_ROW = re.compile(r"^\| `([A-Z][A-Z_]*)` \| (?:`([^`]*)`)? ?\| .+ \|$", re.MULTILINE)


@pytest.mark.parametrize(("file", "entry"), [(".env.example", ENV_LINE), ("README.md", TABLE_ROW)])
def test_every_setting_is_documented_with_its_default(
    file: str, entry: re.Pattern[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    documented = entry.findall((ROOT / file).read_text(encoding="utf-8"))
    assert sorted(name for name, _ in documented) == sorted(name.upper() for name in Settings.model_fields)

    for name, _ in documented:
        monkeypatch.delenv(name, raising=False)
    env_file = tmp_path / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in documented), encoding="utf-8")
    assert Settings(_env_file=env_file) == Settings(_env_file=None)
