"""What is measured: times in turns, and findings with the targets that they should meet."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

PAUSE_S = 0.02
"""Between two contestants: the threads of the one before spin for a while before they sleep."""


def seconds_of(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def in_turns(
    contestants: Mapping[str, Callable[[], object]], budget_s: float, *, at_least: int = 3, at_most: int = 30
) -> dict[str, list[float]]:
    """Times of every contestant, s: A, B, C, A, B, C, …, so that whatever else the machine does hits all of them alike.

    After one call each that does not count, rounds go on until `budget_s` is used up, within `at_least` and `at_most`.
    """
    for work in contestants.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    end = time.perf_counter() + budget_s
    for done in range(at_most):
        if done >= at_least and time.perf_counter() > end:
            break
        for name, work in contestants.items():
            time.sleep(PAUSE_S)
            times[name].append(seconds_of(work))
    return times


@dataclass(frozen=True, slots=True)
class Finding:
    """A measured value and, where there is one, the bound that it should keep."""

    what: str
    value: float
    unit: str = "×"
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool | None:
        """None without a target."""
        if self.at_least is None and self.at_most is None:
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )
