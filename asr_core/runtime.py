"""What torch's libraries read from the environment when they are loaded: every process that computes sets it before."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import MutableMapping

_ARENAS = "MALLOC_ARENA_MAX"

DEFAULTS = {
    # Nothing is padded, so every length is a new shape. oneDNN would keep 1024 compiled primitives and torch as many:
    # 300 recordings of different lengths took 700 MB more, and are as fast with 64.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "LRU_CACHE_CAPACITY": "64",
    # Turns that a thread spins at a barrier before it sleeps: a tenth of a millisecond or a few, as processors differ.
    # On a machine with other things to do, one that waits for a core would be spun for until the other program ends;
    # with a tenth of these turns it sleeps between two products, and two threads take longer than one.
    "GOMP_SPINCOUNT": "10000",
    # glibc gives each thread a heap of its own, and what one thread's frees leave there no other can use: recordings of
    # many lengths grew int8 by 300 MB, nearly all of it free.
    _ARENAS: "1",
}

_M_ARENA_MAX = -8
"""mallopt(3)'s name for it: glibc reads the variable before a program begins, so this process has to be told so."""


def prepare(environment: MutableMapping[str, str]) -> None:
    """Set what is not set yet in `environment`, such as `os.environ`, before torch is imported or a thread started."""
    if _ARENAS not in environment and sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_ARENA_MAX, int(DEFAULTS[_ARENAS]))
    for name, value in DEFAULTS.items():
        environment.setdefault(name, value)
