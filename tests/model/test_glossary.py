"""What keywords are to a model, and how they are written."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr_core.model.glossary import written
from asr_core.model.recognizer import NativeRecognizer, Recognizer, load_recognizer
from asr_core.model.rnnt_search import Spelled
from asr_core.model.trie import Entry
from asr_core.text.keywords import spellings
from asr_core.types import Keyword, KeywordsSpelling, Token
from tests.model.waveforms import noise


@pytest.fixture(scope="module")
def demo() -> Recognizer:
    return load_recognizer("demo", precision="fp32")


def hear(recognizer: Recognizer, sound: torch.Tensor, *keywords: str, style: KeywordsSpelling = "original") -> str:
    known = recognizer.glossary([spellings(Keyword(keyword)) for keyword in keywords], style)
    return recognizer.recognize([sound], [known])[0].text


def test_a_keyword_is_written_as_it_was_given_or_as_the_model_writes(
    demo: Recognizer, sample: torch.Tensor, sample_text: str
) -> None:
    assert hear(demo, sample, "БОЛЬНИЦА", "Шарф") == sample_text.replace("больница", "БОЛЬНИЦА").replace(
        "шарфе", "Шарфе"
    )
    assert hear(demo, sample, "Больница", "Шарф", style="model") == sample_text


def test_keywords_that_nobody_says_change_nothing(demo: Recognizer, sample: torch.Tensor) -> None:
    keywords = ["Иванов", "Kubernetes", "Нижний Новгород", "ибупрофен", "больничный", "на шарфе лежит"]
    known = demo.glossary([spellings(Keyword(keyword)) for keyword in keywords], "original")
    assert demo.recognize([sample], [known]) == demo.recognize([sample])


@pytest.mark.parametrize("name", ["v3_ctc", "v3_e2e_ctc", "v3_rnnt", "v3_e2e_rnnt", "v1_rnnt"])
def test_every_model_takes_keywords(name: str, load: Callable[..., NativeRecognizer]) -> None:
    recognizer = load(name)
    ways = [spellings(Keyword(word)) for word in ("мороз", "Пушкин", "солнце и луна")]
    known = recognizer.glossary(ways, "original")
    assert not any(known.misses(keyword) for keyword in ways)
    (hypothesis,) = recognizer.recognize(noise(24_000), [known])
    assert [token.frame for token in hypothesis.tokens] == sorted(token.frame for token in hypothesis.tokens)


letters = st.text("абв ", min_size=1, max_size=3)


@given(st.lists(letters, min_size=1, max_size=8), st.text("АБxyz-", min_size=1, max_size=12), st.data())
def test_another_spelling_takes_the_keywords_place_and_leaves_its_neighbours(
    texts: list[str], spelling: str, data: st.DataObject
) -> None:
    tokens = [Token(text, frame, -0.5) for frame, text in enumerate(texts)]
    first = data.draw(st.integers(0, len(texts) - 1))
    end = data.draw(st.integers(first + 1, len(texts)))
    result = list(written(tokens, [Spelled(Entry((1,), 1.0, spelling), first, end)]))
    assert result[:first] == tokens[:first]
    assert result[end:] == tokens[end:]
    assert [(token.frame, token.log_prob) for token in result] == [(token.frame, token.log_prob) for token in tokens]
    spelled, given_text = "".join(texts[first:end]), "".join(token.text for token in result[first:end])
    if spelled.strip():
        assert given_text.strip() == spelling
        assert (
            given_text[: len(given_text) - len(given_text.lstrip())] == spelled[: len(spelled) - len(spelled.lstrip())]
        )
        assert given_text.endswith(" ") == spelled.endswith(" ")
