"""PURE: what speakers are called who have no name."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import count, product
from string import ascii_uppercase


def labels(taken: Collection[str] = ()) -> Iterator[str]:
    """A, B, …, Z, AA, AB, …, without those that are `taken`."""
    for length in count(1):
        for letters in product(ascii_uppercase, repeat=length):
            label = "".join(letters)
            if label not in taken:
                yield label
