"""What a request says of its recording, on its way to the model."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from asr_core.engine.engine import Engine
from asr_core.types import Hints, JobOptions, Keyword, Transcript
from tests.engine.engines import SAMPLE, SAMPLE_TEXT, Gate, run, running

WRITTEN = SAMPLE_TEXT.replace("больница", "Больница")
KEYWORD = (Keyword("Больница"),)


async def heard(engine: Engine, hints: Hints) -> Transcript:
    async with engine.open(SAMPLE, JobOptions(hints=hints)) as job:
        return await job.transcript()


def test_keywords_and_a_prompt_reach_the_model_and_what_had_no_effect_is_told(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("шарф\n", encoding="utf-8")
    gate = Gate()

    async def scenario() -> list[Transcript]:
        async with running(gate, keywords_file=file) as engine:
            asked = [
                Hints(),
                Hints(KEYWORD),
                Hints(KEYWORD, spelling="model"),
                Hints(prompt="Это Больница."),
                Hints((Keyword("日本"),), prompt="запись"),
                Hints(KEYWORD),
            ]
            return [await heard(engine, hints) for hints in asked]

    always, given, as_model, prompted, in_vain, again = run(scenario)
    assert always.text == as_model.text == in_vain.text == SAMPLE_TEXT
    assert given.text == prompted.text == again.text == WRITTEN
    assert not (*always.warnings, *given.warnings, *prompted.warnings)
    unspelled, unnamed = in_vain.warnings
    assert "日本" in unspelled
    assert "`prompt` had no effect" in unnamed
    assert gate.n_glossaries == 5


def test_times_and_probabilities_of_words_stay_what_they_were() -> None:
    async def scenario() -> tuple[Transcript, Transcript]:
        async with running() as engine:
            return await heard(engine, Hints()), await heard(engine, Hints((*KEYWORD, Keyword("Шарф"))))

    plain, hinted = run(scenario)
    for before, after in zip(plain.segments, hinted.segments, strict=True):
        assert [(w.start_s, w.end_s, w.probability) for w in before.words] == [
            (w.start_s, w.end_s, w.probability) for w in after.words
        ]
    words = [word.text for segment in hinted.segments for word in segment.words]
    assert {"Больница", "Шарфе"} <= set(words)


@pytest.mark.parametrize("n_keywords", [1, 1000])
def test_recordings_with_keywords_and_without_share_the_model(n_keywords: int) -> None:
    many = (*KEYWORD, *(Keyword(f"Слово{'абвгдежзик'[n % 10] * (n // 10)}") for n in range(1, n_keywords)))

    async def scenario() -> list[Transcript]:
        async with running(max_queue=4) as engine:
            return await asyncio.gather(*(heard(engine, Hints(keywords)) for keywords in (many, (), many, ())))

    assert [transcript.text for transcript in run(scenario)] == [WRITTEN, SAMPLE_TEXT] * 2
