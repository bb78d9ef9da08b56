"""Which ffmpeg is taken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asr_core.audio.ffmpeg import find_ffmpeg
from asr_core.errors import FfmpegMissing


def test_the_configured_one_goes_before_all() -> None:
    assert find_ffmpeg("/opt/mine") == "/opt/mine"


def test_the_one_that_is_installed_along_needs_nothing_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bundled = find_ffmpeg()
    assert "imageio_ffmpeg" in bundled
    said = subprocess.run([bundled, "-version"], check=True, capture_output=True, text=True, timeout=30).stdout
    assert said.startswith("ffmpeg version")


def test_to_find_it_imports_nothing() -> None:
    script = (
        "import sys; from asr_core.audio.ffmpeg import find_ffmpeg; "
        "find_ffmpeg(); assert 'imageio_ffmpeg' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


def test_without_the_package_the_one_on_path_is_taken_and_without_that_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("asr_core.audio.ffmpeg.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FfmpegMissing, match="pip install imageio-ffmpeg"):
        find_ffmpeg()
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    assert find_ffmpeg() == str(tmp_path / "ffmpeg")
