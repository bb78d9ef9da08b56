"""The compiled library: made where there is a compiler, loaded where it was made. A start never compiles.

`python asr_core/model/kernels/compiled.py` makes it, beside its source, and says what it did. It needs nothing but
Python: in the image it runs before there is anything else.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("fused.cpp")
SWITCH = "COMPILED_KERNELS"
"""Environment variable; `0` leaves the library alone, to compare with torch."""

_LOOPS = ("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math", "-ffinite-math-only")
_FLAGS = ("-std=c++17", "-O3", *_LOOPS, "-fPIC", "-shared")
_VARIANTS = ((), ("-DONE_LEVEL",))
"""The second is for compilers that cannot make several versions of a function."""
_TIMEOUT_S = 60

_pointer, _int, _long = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_ARGUMENTS = {
    "silu": (_pointer, _int, _long, _long, _int),
    "quantise": (_pointer, _int, _pointer, _long, _long, _int, _pointer, _pointer, _int),
    "rescale": (*[_pointer] * 4, _int, _long, _long, _pointer, _int, _int),
    "requantise": (*[_pointer] * 4, _int, _pointer, _pointer, _long, _long, _int, _pointer, _int),
    "add_norm": (_pointer, _pointer, _int, _pointer, _pointer, _long, _long, _pointer, _int, _int),
    "rotate": (_pointer, _int, *[_pointer] * 5, _long, _long, _long, _pointer, _int),
    "glu": (_pointer, _int, _long, _long, _pointer, _int),
    "softmax": (_pointer, _int, _pointer, _long, _long, _int),
    "share_with": (_pointer,),
}


def make(folder: Path = SOURCE.parent) -> str:
    """Compile into `folder` unless that was done with this source and this compiler; what there is to say about it."""
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))), None)
    if compiler is None:
        return "no C++ compiler: torch alone will compute"
    version = subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout
    library = folder / f"fused-{_digest(SOURCE.read_bytes())}-{_digest(version)}.so"
    if library.exists():
        return f"{library.name} is there"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch) / library.name
        for variant in _VARIANTS:
            failure = _compile(compiler, [*_FLAGS, *variant], made)
            if failure is None:
                break
        else:
            return f"{compiler} cannot compile {SOURCE.name}, torch alone will compute: {failure}"
        for stale in folder.glob("fused-*.so"):
            stale.unlink()
        made.rename(library)
    return f"{library.name} made with {compiler}"


def _compile(compiler: str, flags: list[str], library: Path) -> str | None:
    """The last line of what was wrong, if something was."""
    command = [compiler, *flags, str(SOURCE), "-o", str(library)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"it took more than {_TIMEOUT_S} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return None


@cache
def library() -> ctypes.CDLL | None:
    """What was made beside the source, or None."""
    return None if os.environ.get(SWITCH) == "0" else load(SOURCE.parent)


def load(folder: Path) -> ctypes.CDLL | None:
    """The library in `folder` that was made from this very source, or None."""
    for path in folder.glob(f"fused-{_digest(SOURCE.read_bytes())}-*.so"):
        try:
            loaded = ctypes.CDLL(str(path))
        except OSError:  # made for another processor or system
            continue
        for name, arguments in _ARGUMENTS.items():
            function = getattr(loaded, name)
            function.argtypes, function.restype = arguments, None
        loaded.share_with(team())
        return loaded
    return None


def team() -> int | None:
    """Where OpenMP begins to work with several threads, under the name that GNU's has for it, if torch brought one.

    So these threads are the same as torch's, and as many.
    """
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value
    except (AttributeError, TypeError):  # another OpenMP; another system
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


if __name__ == "__main__":
    print(make())
