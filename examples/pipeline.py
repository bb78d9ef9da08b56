"""The whole pipeline without a server: decode → segments → recognise → words.

.venv/bin/python examples/pipeline.py talk.mp3
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import torch

from asr_core.audio.chunking import ChunkPolicy
from asr_core.audio.decode import decode
from asr_core.audio.segmenter import Segmenter
from asr_core.audio.vad import SileroNetwork
from asr_core.model.recognizer import load_recognizer
from asr_core.text.writer import Writer
from asr_core.types import INT16_SCALE, VadOptions


async def main(recording: Path, model: str = "demo") -> None:
    recognizer = load_recognizer(model)
    segmenter = Segmenter(SileroNetwork.load(), ChunkPolicy(), VadOptions())
    async with decode(recording, max_seconds=36_000) as blocks:
        chunks = [chunk async for block in blocks for chunk in segmenter.push(block)] + segmenter.flush()
    text: list[str] = []
    writer = Writer()
    for chunk in chunks:
        (hypothesis,) = recognizer.recognize([torch.from_numpy(chunk.pcm) / INT16_SCALE])
        for segment in writer.write(chunk, hypothesis):
            print(f"{segment.start_s:8.2f} – {segment.end_s:8.2f}  {segment.text}")
            text.append(segment.text)
    print(" ".join(text))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
