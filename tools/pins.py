"""Print what uv.lock pins, as requirements for an installer that does not read uv.lock.

    pins.py --wheels 3.12 --no-dev     for the image: torch by the address of its CPU wheel, gigaam as an archive, so
                                       that neither PyTorch's index nor git is needed to install them
    pins.py --ordinary-index           for where only the ordinary package index can be reached

Both lists are complete and must be installed without looking for dependencies: gigaam asks for more than it uses.
Further arguments go to `uv export`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GIGAAM_OF_INDEX = "gigaam==0.1.0"
"""Newer ones are only in its git repository; this one knows the networks of v1 and v2."""


def exported(uv: str, arguments: list[str]) -> list[str]:
    """The lock's requirements, one a line, `name==version ; marker`."""
    quiet = ["--no-hashes", "--no-header", "--no-annotate", "--no-emit-project"]
    command = [uv, "export", "--frozen", *quiet, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def of_ordinary_index(requirement: str) -> str:
    """The same requirement without what only PyTorch's index and git have."""
    if requirement.startswith("gigaam @"):
        return GIGAAM_OF_INDEX
    return re.sub(r"^(torch(?:audio)?==[\d.]+)\+\w+", r"\1", requirement)


def wheels(name: str, version: str, python: str) -> Iterator[str]:
    """A requirement for each architecture that has a wheel of `name` for `python`, by its address."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    (package,) = (package for package in packages if (package["name"], package["version"]) == (name, version))
    tag = "cp" + python.replace(".", "")
    for wheel in package["wheels"]:
        if f"-{tag}-{tag}-" in wheel["url"]:
            machine = re.search(r"manylinux_\d+_\d+_(\w+)\.whl$", wheel["url"])
            assert machine is not None
            anchor = "#" + wheel["hash"].replace(":", "=") if "hash" in wheel else ""
            yield f"{name} @ {wheel['url']}{anchor} ; sys_platform == 'linux' and platform_machine == '{machine[1]}'"


def by_address(requirement: str, python: str) -> Iterator[str]:
    """The same requirement, by address where an index or git would be needed; nothing for other systems than Linux."""
    if match := re.match(r"(torch(?:audio)?)==([\d.]+(?:\+\w+)?) ; sys_platform == '(\w+)'$", requirement):
        if match[3] == "linux":
            yield from wheels(match[1], match[2], python)
    elif match := re.match(r"gigaam @ git\+(https://\S+?)@([0-9a-f]{40})\b(.*)", requirement):
        yield f"gigaam @ {match[1]}/archive/{match[2]}.zip{match[3]}"
    else:
        yield requirement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uv", default=str(Path(sys.executable).with_name("uv")), help="path of uv")
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--ordinary-index", action="store_true")
    form.add_argument("--wheels", metavar="PYTHON", help="python version whose wheels are wanted, such as 3.12")
    options, rest = parser.parse_known_args()
    for requirement in exported(options.uv, rest):
        pins = by_address(requirement, options.wheels) if options.wheels else [of_ordinary_index(requirement)]
        for pin in pins:
            print(pin)


if __name__ == "__main__":
    main()
