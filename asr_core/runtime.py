"""What torch's libraries read from the environment when they are loaded: every process that computes sets it before."""

from __future__ import annotations

from collections.abc import MutableMapping

DEFAULTS = {
    # Nothing is padded, so every length is a new shape. oneDNN would keep 1024 compiled primitives and torch as many:
    # 300 recordings of different lengths took 700 MB more, and are as fast with 64.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
    # Turns that a thread spins at a barrier before it sleeps. On a machine with other things to do, one that waits for
    # a core would be spun for until the other program ends.
    "GOMP_SPINCOUNT": "1000",
}


def prepare(environment: MutableMapping[str, str]) -> None:
    """Set what is not set yet in `environment`, such as `os.environ`, before torch is imported."""
    for name, value in DEFAULTS.items():
        environment.setdefault(name, value)
