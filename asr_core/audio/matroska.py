"""Matroska as ffmpeg writes it into a pipe → the blocks of its one track. Pure: bytes in, blocks out.

It is how ffmpeg hands over decoded sound with the times that the recording's container gives it. Only what carries
sound and times is understood; everything else is skipped.
"""

from __future__ import annotations

from typing import NamedTuple

SEGMENT, CLUSTER, GROUP = 0x18538067, 0x1F43B675, 0xA0
TIMESTAMP, BLOCK, SIMPLE_BLOCK = 0xE7, 0xA1, 0xA3
OPENED = frozenset({SEGMENT, CLUSTER, GROUP})
"""Elements that are read for what is in them."""

BLOCK_HEADER = 4
"""Bytes in front of a block's data: track (one byte, as there is one track), time in its cluster, flags."""


class Block(NamedTuple):
    """Encoded or bare samples, and when they are to be heard, in milliseconds."""

    time_ms: int
    data: bytes


class MatroskaReader:
    """Takes the file in pieces of any size; gives each block as soon as it is complete."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._to_skip = 0
        self._cluster_ms = 0

    def push(self, piece: bytes) -> list[Block]:
        self._unread += piece
        blocks: list[Block] = []
        at = self._skip(0)
        while header := element(self._unread, at):
            name, size, begin = header
            if name in OPENED:
                at = begin
                continue
            if name in (TIMESTAMP, BLOCK, SIMPLE_BLOCK):
                if begin + size > len(self._unread):
                    break
                if name == TIMESTAMP:
                    self._cluster_ms = int.from_bytes(self._unread[begin : begin + size], "big")
                else:
                    blocks.append(self._block(begin, begin + size))
                at = begin + size
            else:
                self._to_skip = size
                at = self._skip(begin)
        del self._unread[:at]
        return blocks

    def _skip(self, at: int) -> int:
        """Pass over what is to be skipped, as far as it is there."""
        passed = min(self._to_skip, len(self._unread) - at)
        self._to_skip -= passed
        return at + passed

    def _block(self, begin: int, end: int) -> Block:
        offset = int.from_bytes(self._unread[begin + 1 : begin + 3], "big", signed=True)
        return Block(self._cluster_ms + offset, bytes(memoryview(self._unread)[begin + BLOCK_HEADER : end]))


def element(data: bytearray, at: int) -> tuple[int, int, int] | None:
    """Name, size and beginning of the content of the element at `at`; None if its header is not all there.

    Name and size are numbers whose first byte tells, by its leading zeros, how many bytes more they have.
    """
    if at >= len(data):
        return None
    size_at = at + 9 - data[at].bit_length()
    if size_at >= len(data):
        return None
    content_at = size_at + 9 - data[size_at].bit_length()
    if content_at > len(data):
        return None
    size = int.from_bytes(data[size_at:content_at], "big") ^ (1 << 7 * (content_at - size_at))
    return int.from_bytes(data[at:size_at], "big"), size, content_at
