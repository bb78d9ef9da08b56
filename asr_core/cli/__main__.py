"""`python -m asr_core.cli`: the same as `gigaam-asr`."""

from asr_core.cli import main

if __name__ == "__main__":
    main()
