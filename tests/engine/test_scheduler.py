from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asr_core.engine.scheduler import ALIKE, MAX_BATCH, Scheduler
from asr_core.types import SAMPLE_RATE, Chunk, Span

BATCH_SIZE = 4


def chunk(index: int, seconds: float) -> Chunk:
    return Chunk(index, Span(0, round(seconds * SAMPLE_RATE)), np.empty(0, np.int16), np.empty(0, np.float32))


lengths = st.floats(0.1, 30.0)
jobs = st.dictionaries(st.integers(0, 8), st.lists(lengths, max_size=6), max_size=6)


def drain(scheduler: Scheduler[int]) -> list[list[tuple[int, Chunk]]]:
    batches = []
    while batch := scheduler.next_batch():
        batches.append(batch)
    return batches


def filled(backlogs: dict[int, list[float]]) -> Scheduler[int]:
    scheduler: Scheduler[int] = Scheduler(BATCH_SIZE)
    for job, seconds in backlogs.items():
        scheduler.add(job)
        for index, length in enumerate(seconds):
            scheduler.queue(job, chunk(index, length))
    return scheduler


@given(jobs)
def test_every_chunk_is_computed_once_and_each_jobs_in_order(backlogs: dict[int, list[float]]) -> None:
    done: dict[int, list[int]] = {job: [] for job in backlogs}
    for batch in drain(filled(backlogs)):
        for job, item in batch:
            done[job].append(item.index)
    assert done == {job: list(range(len(seconds))) for job, seconds in backlogs.items()}


@given(jobs)
def test_a_batch_keeps_nobody_waiting_for_long(backlogs: dict[int, list[float]]) -> None:
    for batch in drain(filled(backlogs)):
        spans = [len(item.span) for _, item in batch]
        assert len(batch) <= BATCH_SIZE
        assert len({job for job, _ in batch}) == len(batch)
        assert len(batch) == 1 or sum(spans) <= MAX_BATCH
        assert all(span <= ALIKE * spans[0] for span in spans[1:])


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), lengths)
def test_between_two_turns_of_a_job_every_other_waiting_job_has_one(counts: list[int], seconds: float) -> None:
    scheduler = filled({job: [seconds] * count for job, count in enumerate(counts)})
    waiting = dict(enumerate(counts))
    passed_over: Counter[int] = Counter()
    for batch in drain(scheduler):
        served = {job for job, _ in batch}
        for job in waiting:
            passed_over[job] = 0 if job in served else passed_over[job] + 1
            assert passed_over[job] < len(counts)
        waiting = {job: left - (job in served) for job, left in waiting.items() if left > (job in served)}


def test_a_newcomer_goes_before_the_job_that_is_being_served() -> None:
    scheduler = filled({0: [22.0] * 5})
    scheduler.next_batch()
    scheduler.add(1)
    scheduler.queue(1, chunk(0, 3.0))
    assert [job for job, _ in scheduler.next_batch()] == [1]


def test_a_stream_of_newcomers_does_not_starve_a_long_job() -> None:
    scheduler = filled({0: [22.0] * 10})
    leaders = []
    for newcomer in range(1, 11):
        scheduler.add(newcomer)
        scheduler.queue(newcomer, chunk(0, 3.0))
        leaders += [batch[0][0] for batch in (scheduler.next_batch(),)]
    assert leaders.count(0) >= 4


def test_short_recordings_of_many_clients_are_computed_together() -> None:
    scheduler = filled({job: [5.0] for job in range(8)})
    assert [len(batch) for batch in drain(scheduler)] == [4, 4]


def test_a_removed_jobs_chunks_are_forgotten() -> None:
    scheduler = filled({0: [5.0, 5.0], 1: [5.0]})
    scheduler.remove(0)
    assert [[job for job, _ in batch] for batch in drain(scheduler)] == [[1]]
