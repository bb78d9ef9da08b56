"""What the process that serves does to itself."""

from __future__ import annotations

import ctypes
import resource
import signal
import sys
from contextlib import suppress

MANY_FILES = 65_536
"""Where the system sets no limit."""
ALWAYS_ALLOWED = 10_240
"""macOS says that there is no limit, and refuses more than it has."""

_PR_SET_PDEATHSIG = 1


def raise_file_limit() -> int:
    """Let this process open as many files as it may; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (MANY_FILES if hard == resource.RLIM_INFINITY else hard, ALWAYS_ALLOWED):
        if soft == resource.RLIM_INFINITY or soft >= limit:
            break
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            break
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MANY_FILES if soft == resource.RLIM_INFINITY else soft


def end_with_parent() -> None:
    """Have this process told to end when its parent does, killed or not; on Linux alone."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
