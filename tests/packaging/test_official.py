"""The official models on GigaAM's own example recording; they are downloaded, so this runs only when asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from asr_core.model.weights import BASE_URL

ROOT = Path(__file__).resolve().parents[2]
EXPECTED: dict[str, Any] = json.loads(Path(__file__).with_name("official_sample.json").read_text(encoding="utf-8"))
TOLERANCE_S = 0.1

pytestmark = pytest.mark.official


def gigaam_asr(*arguments: str) -> str:
    command = [sys.executable, "-m", "asr_core.cli", *arguments]
    environment = os.environ | {"MODELS_DIR": str(ROOT / "models"), "PRECISION": "fp32"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("official") / "example.wav"
    path.write_bytes(httpx.get(f"{BASE_URL}/example.wav", timeout=60, follow_redirects=True).raise_for_status().content)
    return path


@pytest.mark.parametrize("model", EXPECTED)
def test_the_text_and_the_times_of_words_are_those_of_the_original(model: str, recording: Path) -> None:
    gigaam_asr("weights", "pull", model)
    output = gigaam_asr("transcribe", str(recording), "--model", model, "-f", "verbose_json", "--words", "-o", "-")
    transcript = json.loads(output)
    assert transcript["text"] == EXPECTED[model]["text"]

    words = [(word["word"], word["start"], word["end"]) for word in transcript["words"]]
    assert [text for text, _, _ in words] == [text for text, _, _ in EXPECTED[model]["words"]]
    for (_, start, end), (_, expected_start, expected_end) in zip(words, EXPECTED[model]["words"], strict=True):
        assert start == pytest.approx(expected_start, abs=TOLERANCE_S)
        assert end == pytest.approx(expected_end, abs=TOLERANCE_S)
