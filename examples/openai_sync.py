"""A recording's text, and its subtitles, with the openai client.

.venv/bin/python examples/openai_sync.py talk.mp3
ASR_URL and API_KEY: the server, http://localhost:3000 by default
"""

import os
import sys
from pathlib import Path

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("ASR_URL", "http://localhost:3000") + "/v1",
    api_key=os.environ.get("API_KEY") or "none",  # the client insists on one, the server only if it was given keys
    timeout=3600,  # s: nothing arrives before the whole recording is transcribed; its own limit is 10 minutes
)
recording = Path(sys.argv[1])

# The server answers with the model that it has loaded; `whisper-1` is one of the names that it listens to.
transcript = client.audio.transcriptions.create(
    model="whisper-1",
    file=recording,
    response_format="verbose_json",
    timestamp_granularities=["segment", "word"],
)
print(transcript.text)
for word in transcript.words or []:
    print(f"{word.start:8.2f} {word.end:8.2f}  {word.word}")

print(client.audio.transcriptions.create(model="whisper-1", file=recording, response_format="srt"))
