"""PURE: which of several things are in use, and which nobody has used for long."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator


class Uses:
    """Counts the users of things by their names; each has a clock of its own, which stands still while it is used."""

    def __init__(self, names: Iterable[str], idle_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """What nobody has used for `idle_s` seconds is idle; `clock` gives seconds."""
        self._idle_s = idle_s
        self._clock = clock
        self._n_users = Counter[str]()
        self._last_used = dict.fromkeys(names, clock())

    def begin(self, name: str) -> None:
        self._n_users[name] += 1

    def end(self, name: str) -> None:
        self._n_users[name] -= 1
        self.touch(name)

    def touch(self, name: str) -> None:
        """Set the clock back, as a use that is over at once does."""
        self._last_used[name] = self._clock()

    def idle(self) -> Iterator[str]:
        """The names of what is idle."""
        now = self._clock()
        return (name for name in self._last_used if not self._n_users[name] and now >= self._idle_at(name))

    def next_look_s(self) -> float:
        """Seconds from now until there may be something idle that is not yet."""
        now = self._clock()
        ahead = (self._idle_at(name) - now for name in self._last_used if not self._n_users[name])
        # What is in use at the moment, or begins to be, cannot be idle any sooner than this.
        return min((seconds for seconds in ahead if seconds > 0), default=self._idle_s)

    def _idle_at(self, name: str) -> float:
        return self._last_used[name] + self._idle_s
