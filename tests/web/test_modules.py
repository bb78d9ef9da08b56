"""What needs no browser of the page: its pure modules, in Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest

from asr_core import web
from asr_core.api.native import segment_with_words
from asr_core.text.formats import RenderOptions, render, verbose_transcription
from asr_core.types import SAMPLE_RATE, Segment, Transcript, Word

NODE = shutil.which("node")
TESTS = sorted((Path(__file__).parent / "modules").glob("*.test.mjs"))


FORMATS = Path(web.__file__).parent / "page" / "formats.mjs"
FILES = f"""
import {{ text }} from "node:stream/consumers";
import {{ FORMATS }} from {json.dumps(FORMATS.as_uri())};
const files = JSON.parse(await text(process.stdin)).map(({{ segments, done }}) =>
  ["txt", "srt", "vtt"].map((name) => FORMATS[name](segments, done)));
process.stdout.write(JSON.stringify(files));
"""

needs_node = pytest.mark.skipif(
    NODE is None, reason="no Node.js on PATH: the page's modules are tested where there is one"
)


@needs_node
def test_the_pages_modules_pass_their_own_tests() -> None:
    run = subprocess.run([str(NODE), "--test", *map(str, TESTS)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


TEXTS = ["и", "да,", "нет.", "слово", "«кто", "там»?", "½", "предложение", "непротивозаконный", "👍🏽", "-->", "ы" * 60]
PAUSES = [0, 0, 0, 640, 9_592, 9_599, 9_600, 9_601, 9_608, 24_000]
"""Samples: on both sides of the pause over which words are joined, and of what rounds to it."""


def speech_like(draw: Random) -> Transcript:
    found: list[Segment] = []
    speakers: list[str | None] = ["A", "B"] if draw.random() < 0.5 else [None]
    sample = draw.randrange(10**6)
    for _ in range(draw.randrange(8)):
        words = []
        for text in draw.choices(TEXTS, k=draw.randrange(1, 40)):
            start = sample + draw.choice(PAUSES)
            sample = start + draw.randrange(1, 12_000)
            words.append(Word(text, start / SAMPLE_RATE, sample / SAMPLE_RATE, 0.5))
        text = " ".join(word.text for word in words)
        found.append(
            Segment(
                len(found), words[0].start_s, words[-1].end_s, text, tuple(words), (), -0.5, 0.25, draw.choice(speakers)
            )
        )
    return Transcript(tuple(found), sample / SAMPLE_RATE + draw.choice([0.0, 0.3, 5.0]))


def as_streamed(transcript: Transcript) -> dict[str, object]:
    done = verbose_transcription(transcript, RenderOptions(segment_timestamps=False))
    return {"segments": [segment_with_words(segment) for segment in transcript.segments], "done": done}


@needs_node
def test_the_page_makes_the_files_that_the_server_makes() -> None:
    draw = Random(1)
    heard = [speech_like(draw) for _ in range(300)]
    command = [str(NODE), "--input-type=module", "--eval", FILES]
    streamed = json.dumps([as_streamed(transcript) for transcript in heard])
    run = subprocess.run(command, input=streamed, capture_output=True, text=True, check=True)
    for transcript, files in zip(heard, json.loads(run.stdout), strict=True):
        for file, name in zip(files, ("text", "srt", "vtt"), strict=True):
            assert file == render(transcript, name, RenderOptions(turns=True)).body.decode()
