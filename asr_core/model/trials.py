"""Which way to compute the same is fastest on this machine: tried out, since no list of processors is ever complete."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from asr_core.model.threads import using_threads

Ways = Mapping[str, Callable[[], object]]


def seconds(ways: Ways, trials: int) -> dict[str, float]:
    """The least time on a core that each takes with one thread, s.

    They are tried in turn, and it is this thread's time that counts: what else the machine does hits each of them.
    """
    least = dict.fromkeys(ways, math.inf)
    with using_threads(1):
        for _ in range(trials):
            for name, compute in ways.items():
                begin = time.thread_time()
                compute()
                least[name] = min(least[name], time.thread_time() - begin)
    return least


def fastest(ways: Ways, trials: int) -> str:
    """The first, unless another one takes nine tenths of its time: what is heard must not change with every start."""
    taken = seconds(ways, trials)
    first, best = next(iter(ways)), min(taken, key=lambda name: taken[name])
    return best if taken[best] < 0.9 * taken[first] else first
