"""`python -m benchmarks`."""

from __future__ import annotations

import os

from asr_core.runtime import prepare

if __name__ == "__main__":
    prepare(os.environ)
    from benchmarks.run import main  # torch reads the environment when it is imported

    main()
