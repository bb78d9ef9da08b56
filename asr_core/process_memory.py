"""How much memory this process has."""

from __future__ import annotations

import re
from pathlib import Path


def resident_mib() -> int | None:
    """MiB resident; None where the system does not say."""
    try:
        found = re.search(r"^VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) >> 10 if found else None
