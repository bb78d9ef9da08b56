"""A session's state machine, with sound and hearings made up."""

from __future__ import annotations

import contextlib
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_core.errors import BadRequest, RecognitionFailed
from asr_core.live import events
from asr_core.live.session import LIMIT, Hearing, LiveSession
from asr_core.live.turns import TurnOptions
from asr_core.types import SAMPLE_RATE, VAD_WINDOW, Hypothesis, Token

SPEECH, SILENCE = 0.9, 0.01
FRAME = 640


def feed(session: LiveSession, probability: float, n_windows: int) -> None:
    for _ in range(n_windows):
        session.listen(np.zeros(VAD_WINDOW, np.int16), np.array([probability], np.float32))


def heard(hearing: Hearing) -> Hypothesis:
    """A model that hears a word for each second of the recording that begins in the sound, named by that second."""
    first, last = -(-hearing.span.start // SAMPLE_RATE), -(-hearing.span.end // SAMPLE_RATE)
    frames = [(second, (second * SAMPLE_RATE - hearing.span.start) // FRAME) for second in range(first, last)]
    tokens = tuple(Token(f" {second}", frame, -0.1) for second, frame in frames)
    return Hypothesis(tokens, -(-len(hearing.span) // FRAME))


def hear_all(session: LiveSession) -> None:
    while hearing := session.next_hearing():
        session.heard(hearing, heard(hearing))


def texts(session: LiveSession) -> dict[str, tuple[str, str | None]]:
    """Each item's deltas, joined, and its whole text."""
    deltas: defaultdict[str, str] = defaultdict(str)
    whole: dict[str, str] = {}
    for event in session.events:
        if isinstance(event, events.Delta):
            deltas[event.item_id] += event.text
        elif isinstance(event, events.Completed):
            whole[event.item_id] = event.text
    return {item: (deltas[item], whole.get(item)) for item in {*deltas, *whole}}


def test_an_utterance_is_announced_committed_and_completed_in_order() -> None:
    session = LiveSession(TurnOptions())
    feed(session, SILENCE, 20)
    feed(session, SPEECH, 60)
    feed(session, SILENCE, 20)
    hear_all(session)
    kinds = [type(event) for event in session.events]
    assert kinds == [events.SpeechStarted, events.SpeechStopped, events.Committed, events.Delta, events.Completed]
    started, stopped = session.events[:2]
    assert isinstance(started, events.SpeechStarted)
    assert isinstance(stopped, events.SpeechStopped)
    assert started.at_ms == 20 * 32 - 300
    assert 80 * 32 + 500 <= stopped.at_ms <= 80 * 32 + 532


def test_items_name_the_one_before() -> None:
    session = LiveSession(TurnOptions())
    for _ in range(3):
        feed(session, SPEECH, 30)
        feed(session, SILENCE, 30)
    committed = [event for event in session.events if isinstance(event, events.Committed)]
    assert [event.previous_id for event in committed] == [None, committed[0].item_id, committed[1].item_id]


def test_speech_that_goes_on_is_cut_at_its_quietest_place_and_no_word_is_lost_or_said_twice() -> None:
    session = LiveSession(TurnOptions())
    for n in range(2_000):  # 64 s
        feed(session, 0.6 if n % 470 in range(400, 404) else SPEECH, 1)
        if n % 10 == 0:
            hear_all(session)
    feed(session, SILENCE, 30)
    hear_all(session)
    said = texts(session)
    assert all(deltas == whole for deltas, whole in said.values())
    order = [event.item_id for event in session.events if isinstance(event, events.Committed)]
    assert " ".join(said[item][0] for item in order).split() == [str(second) for second in range(65)]
    assert session.n_contradicted == 0
    cuts = [event.at_ms for event in session.events if isinstance(event, events.SpeechStopped)][:-1]
    assert all(cut // 32 % 470 in range(399, 405) for cut in cuts[:1])


@pytest.mark.parametrize("seconds", [5, 50])
def test_without_turn_detection_the_client_commits_one_item_however_long_it_is(seconds: int) -> None:
    session = LiveSession(None)
    for n in range(seconds * 1000 // 32):
        feed(session, SPEECH, 1)
        if n % 50 == 0:
            hear_all(session)
    session.commit()
    hear_all(session)
    ((deltas, whole),) = texts(session).values()
    assert deltas == whole
    assert str(whole).split() == [str(second) for second in range(seconds)]


def test_nothing_to_commit_is_an_error_and_clearing_forgets() -> None:
    session = LiveSession(None)
    with pytest.raises(BadRequest, match="no sound"):
        session.commit()
    feed(session, SPEECH, 50)
    session.clear()
    with pytest.raises(BadRequest, match="no sound"):
        session.commit()
    feed(session, SPEECH, 50)
    session.commit()
    hearing = session.next_hearing()
    assert hearing
    assert hearing.span.start == 50 * VAD_WINDOW


def test_an_item_that_the_model_fails_on_is_said_to_have_failed_and_the_next_is_heard() -> None:
    session = LiveSession(None)
    feed(session, SPEECH, 50)
    session.commit()
    hearing = session.next_hearing()
    assert hearing
    session.failed(hearing, RecognitionFailed())
    feed(session, SPEECH, 50)
    session.commit()
    hear_all(session)
    kinds = [type(event) for event in session.events]
    assert kinds == [events.Committed, events.Failed, events.Committed, events.Delta, events.Completed]


def test_a_pause_is_not_heard_again_and_again() -> None:
    session = LiveSession(TurnOptions(silence_duration_ms=5_000))
    feed(session, SPEECH, 50)
    feed(session, SILENCE, 20)
    assert session.next_hearing()
    feed(session, SILENCE, 20)
    assert session.next_hearing() is None


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([SPEECH, 0.4, SILENCE]), st.integers(1, 400)),
        st.sampled_from(["commit", "clear", "hear", "manual", "automatic"]),
    ),
    max_size=30,
)


@given(steps)
def test_whatever_happens_deltas_are_the_text_and_the_memory_is_bounded(actions: list[tuple[float, int] | str]) -> None:
    session = LiveSession(TurnOptions(silence_duration_ms=200))
    for action in actions:
        if isinstance(action, tuple):
            for _ in range(action[1]):
                feed(session, action[0], 1)
                while session.is_behind:
                    hearing = session.next_hearing()
                    assert hearing
                    session.heard(hearing, heard(hearing))
        elif action == "hear":
            if hearing := session.next_hearing():
                assert len(hearing.pcm) <= LIMIT + VAD_WINDOW
                session.heard(hearing, heard(hearing))
        elif action == "commit":
            with contextlib.suppress(BadRequest):
                session.commit()
        elif action == "clear":
            session.clear()
        else:
            session.configure(None if action == "manual" else TurnOptions())
        assert session._sound.end - session._sound.start <= LIMIT + 2 * SAMPLE_RATE
    hear_all(session)
    assert all(whole in (None, deltas) for deltas, whole in texts(session).values())
    assert session.is_done
