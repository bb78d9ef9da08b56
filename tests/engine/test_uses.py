"""Whatever order things are used in, and for however long."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from asr_core.engine.uses import Uses

NAMES = ("a", "b", "c")
IDLE_S = 10.0
names = st.sampled_from(NAMES)


class UsesOverTime(RuleBasedStateMachine):
    """Beside the class itself a history of all that has happened, looked through anew each time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.uses = Uses(NAMES, IDLE_S, lambda: self.now)
        self.n_users = Counter[str]()
        self.unused_since = dict.fromkeys(NAMES, 0.0)

    @property
    def expected(self) -> set[str]:
        return {name for name in NAMES if not self.n_users[name] and self.now - self.unused_since[name] >= IDLE_S}

    @rule(name=names)
    def begin(self, name: str) -> None:
        self.uses.begin(name)
        self.n_users[name] += 1

    @precondition(lambda self: self.n_users.total())
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, n in self.n_users.items() if n)))
        self.uses.end(name)
        self.n_users[name] -= 1
        self.unused_since[name] = self.now

    @rule(name=names)
    def touch(self, name: str) -> None:
        self.uses.touch(name)
        self.unused_since[name] = self.now

    @rule(seconds=st.integers(0, 12))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def wait_for_the_next_look(self) -> None:
        """Nothing becomes idle before it, if nothing else happens; what has is seen at it."""
        already, unused = self.expected, {name for name in NAMES if not self.n_users[name]}
        wait_s = self.uses.next_look_s()
        assert 0 < wait_s <= IDLE_S
        self.now += wait_s - 0.5
        assert set(self.uses.idle()) == already
        self.now += 0.5
        assert self.expected > already or already == unused

    @invariant()
    def what_is_idle_is_what_nobody_has_used_for_so_long(self) -> None:
        assert set(self.uses.idle()) == self.expected


TestUses = UsesOverTime.TestCase
