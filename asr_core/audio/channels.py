"""Blocks of several channels → the chunks of each, as those of one recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate

from asr_core.audio.segmenter import Segmenter
from asr_core.types import Chunk, Pcm

NEVER = 2**63 - 1
"""A sample that no recording has."""


class ChannelSegmenter:
    """One recording's blocks in, the chunks of all its channels out.

    Chunks that become certain together come out in order of time, those of each channel in order. Blocks of one channel
    only, [S], give what a `Segmenter` alone does.
    """

    def __init__(self, make: Callable[[], Segmenter]) -> None:
        """`make` is called once for each channel."""
        self._make = make
        self._segmenters: list[Segmenter] = []
        self._is_mixture = False
        self._n_chunks = 0

    def push(self, block: Pcm) -> list[Chunk]:
        """Take the next samples, [S] or [C, S]; give the chunks that are now certain."""
        if not self._segmenters:
            self._is_mixture = block.ndim == 1
            self._segmenters = [self._make() for _ in range(1 if self._is_mixture else len(block))]
        if self._is_mixture:
            return self._segmenters[0].push(block)
        chunks = [segmenter.push(channel) for segmenter, channel in zip(self._segmenters, block, strict=True)]
        return self._together(chunks, min(segmenter.earliest for segmenter in self._segmenters))

    def flush(self) -> list[Chunk]:
        """Give the last chunks, after the last block."""
        chunks = [segmenter.flush() for segmenter in self._segmenters]
        return chunks[0] if self._is_mixture else self._together(chunks, NEVER)

    def _together(self, chunks: Sequence[Sequence[Chunk]], earliest: int) -> list[Chunk]:
        """The chunks of all channels; whatever comes later is heard from `earliest` on."""
        of_channels = [replace(chunk, channel=n) for n, channel in enumerate(chunks) for chunk in channel]
        ordered = sorted(of_channels, key=lambda chunk: chunk.heard.start)
        following = (chunk.heard.start for chunk in reversed(ordered))
        settled = list(accumulate(following, min, initial=earliest))[-2::-1]
        numbered = [
            replace(chunk, index=index, settled=limit)
            for index, (chunk, limit) in enumerate(zip(ordered, settled, strict=True), self._n_chunks)
        ]
        self._n_chunks += len(numbered)
        return numbered
