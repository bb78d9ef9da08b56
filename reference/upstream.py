"""Upstream's own modules, of the version that knows every model: what our network has to agree with.

They lie in the wheel of docling-gigaam, which is not imported itself: that would need all of docling.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

_NAME = "_upstream_gigaam"
_PARTS = ("preprocess", "encoder", "decoder", "decoding", "model")


@cache
def upstream(part: str = "") -> ModuleType:
    """The package, or one of its modules. Raises ModuleNotFoundError where docling-gigaam is not installed."""
    if part:
        return import_module(f"{upstream().__name__}.{part}")
    wheel = find_spec("docling_gigaam")
    if wheel is None or not wheel.submodule_search_locations:
        raise ModuleNotFoundError("docling-gigaam is not installed: it is among the development dependencies")
    folder = Path(wheel.submodule_search_locations[0], "_vendor", "gigaam")
    spec = spec_from_file_location(_NAME, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None and spec.loader is not None
    package = sys.modules[_NAME] = module_from_spec(spec)
    spec.loader.exec_module(package)
    return package


def as_gigaam() -> dict[str, ModuleType]:
    """What has to be in `sys.modules` for these modules to be the `gigaam` that a program imports."""
    return {"gigaam": upstream()} | {f"gigaam.{part}": upstream(part) for part in _PARTS}
