"""Take out of an environment what no server imports or runs: `python slim.py /app/.venv`, with `strip` on PATH.

Python's files alone decide what an import finds, so nothing goes that the rest of a package imports but its tests.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

NEEDLESS = (
    # What programs in C++ are compiled against, and their tests, with the libraries that only these load.
    *("torch/include", "torch/share", "torch/test", "torch/bin/*[Tt]est*", "torch/bin/protoc*", "torch/bin/*.ptl"),
    *("torch/bin/upgrader_models", "torch/lib/lib*_test.so", "torch/lib/libbackend_with_compiler.so"),
    *("torch/lib/libaoti_custom_ops.so", "torch/lib/libshm_windows"),
    # torchaudio's from the ordinary index want CUDA; what is used of it are its parts in Python.
    "torchaudio/lib/*.so",
    # For another runtime.
    "silero_vad/data/*.onnx",
    # Everybody's tests, and what only compilers and type checkers read.
    *("**/tests", "**/*.pyi", "**/*.pxd", "**/*.h", "**/*.cuh", "**/*.a"),
)
"""Below site-packages."""

SYMBOLS = "torch/lib/*.so"
"""Libraries of which a fifth are names that only a debugger looks at."""


def slim(site_packages: Path) -> None:
    for pattern in NEEDLESS:
        for path in list(site_packages.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    subprocess.run(["strip", "--strip-unneeded", *site_packages.glob(SYMBOLS)], check=True)


if __name__ == "__main__":
    for folder in Path(sys.argv[1]).glob("lib/python3*/site-packages"):
        slim(folder)
