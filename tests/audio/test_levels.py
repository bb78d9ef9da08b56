from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_core.audio.levels import DROP_DB, STEP_DB, evened, level_db
from asr_core.audio.vad import speech_spans
from asr_core.types import SAMPLE_RATE, Pcm, Span
from tests.audio.signals import noise, silence, speech

SENTENCES = [speech()[span.start : span.end] for span in speech_spans([speech()]) if len(span) > 1.4 * SAMPLE_RATE]
DROPS_DB = st.lists(st.sampled_from([0, 3, 6, 32, 35, 38]), min_size=1, max_size=4).flatmap(
    lambda drops_db: st.permutations([0, *drops_db])
)


def anything(part: Span) -> bool:
    """May be speech."""
    return True


def said(drops_db: list[int], pause_s: float) -> tuple[Pcm, list[Span]]:
    """Sentences in turn, each so much quieter than it was, and where they are."""
    pieces, spans, at = [], list[Span](), 0
    for i, drop_db in enumerate(drops_db):
        sentence = (SENTENCES[i % len(SENTENCES)] * 10 ** (-drop_db / 20)).astype(np.int16)
        pieces += [sentence, silence(pause_s)]
        spans.append(Span(at, at + len(sentence)))
        at += len(sentence) + round(pause_s * SAMPLE_RATE)
    return np.concatenate(pieces), spans


@settings(max_examples=60, deadline=None)
@given(drops_db=DROPS_DB, pause_s=st.floats(0, 0.3), together=st.booleans())
def test_quiet_sentences_become_as_loud_as_the_loudest_whether_the_vad_tells_them_apart_or_not(
    drops_db: list[int], pause_s: float, together: bool
) -> None:
    sound, spans = said(drops_db, pause_s)
    louder = evened(sound, [Span(0, len(sound))] if together else spans, anything)
    loudest = max(level_db(sound[span.start : span.end]) for span in spans)
    for span, drop_db in zip(spans, drops_db, strict=True):
        before, after = sound[span.start : span.end], louder[span.start : span.end]
        if drop_db > DROP_DB + STEP_DB:
            assert level_db(after) == pytest.approx(loudest, abs=STEP_DB)
        else:
            edge = SAMPLE_RATE // 3  # where one voice ends and the next begins is found to within that
            np.testing.assert_array_equal(after[edge:-edge], before[edge:-edge])


@given(drops_db=st.lists(st.integers(0, 12), min_size=1, max_size=4), pause_s=st.floats(0, 0.3))
def test_what_is_not_far_quieter_is_left_alone(drops_db: list[int], pause_s: float) -> None:
    sound, _ = said(drops_db, pause_s)
    assert evened(sound, [Span(0, len(sound))], anything) is sound


def test_noise_after_a_voice_within_its_span_stays_as_faint_as_it_is() -> None:
    sound = np.concatenate((SENTENCES[0], noise(3, 50)))
    begins = len(SENTENCES[0])
    assert evened(sound, [Span(0, len(sound))], lambda part: part.start < begins // 2) is sound
    assert evened(sound, [Span(0, len(sound))], anything) is not sound


@settings(max_examples=30, deadline=None)
@given(whole_db=st.integers(36, 45), drops_db=st.permutations([0, 6, 14]))
def test_all_of_a_faint_sentence_that_grows_softer_gets_one_gain(whole_db: int, drops_db: list[int]) -> None:
    sound, _ = said([whole_db + drop_db for drop_db in drops_db], 0)
    louder = evened(sound, [Span(0, len(sound))], anything)
    audible = np.abs(sound) > np.abs(sound).max() // 2
    gains = louder[audible] / sound[audible]
    assert 1.5 < gains.max() < 1.1 * gains.min()
