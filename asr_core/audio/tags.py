"""Tags in front of sound, and in the middle of a file: what remains of several mp3 that were joined end to end."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

_ID3V2 = re.compile(rb"ID3[\x02-\x04]\x00[\x00-\xff]([\x00-\x7f]{4})")
ID3V1_BYTES = 128
"""It begins with `TAG`."""

BYTES_AN_ERROR = 64
"""A decoder that is given a tag complains at most once for so many bytes of it."""


def errors_of_tags(path: Path) -> int:
    """How many errors of a decoder the tags in a file explain, save for those at its ends, which nobody decodes.

    The file is read from end to end.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        sizes = [_size(match[1]) for match in _ID3V2.finditer(content) if match.start()]
        last = len(content) - ID3V1_BYTES
        sizes += [ID3V1_BYTES for match in re.finditer(rb"TAG", content) if match.start() < last]
    return sum(2 + size // BYTES_AN_ERROR for size in sizes)


def end_of_tag(head: bytes) -> int:
    """Where the sound begins in a file that begins so; 0 without a tag in front of it."""
    match = _ID3V2.match(head)
    return match.end() + _size(match[1]) if match else 0


def _size(digits: bytes) -> int:
    """Seven bits in each byte."""
    size = 0
    for digit in digits:
        size = size << 7 | digit
    return size
