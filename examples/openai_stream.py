"""A recording's text as it is recognised, with the openai client.

.venv/bin/python examples/openai_stream.py talk.mp3
ASR_URL and API_KEY: the server, http://localhost:3000 by default
"""

import os
import sys
from pathlib import Path

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("ASR_URL", "http://localhost:3000") + "/v1",
    api_key=os.environ.get("API_KEY") or "none",
)

for event in client.audio.transcriptions.create(model="whisper-1", file=Path(sys.argv[1]), stream=True):
    if event.type == "transcript.text.delta":
        print(event.delta, end="", flush=True)
    elif event.type == "transcript.text.done":  # the deltas once more, as one text
        print(f"\n{len(event.text)} characters", file=sys.stderr)
