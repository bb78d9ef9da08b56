"""A recording's segments as they are recognised, then its text, with BentoML's client.

.venv/bin/python examples/bentoml_client.py talk.mp3
ASR_URL and API_KEY: the server, http://localhost:3000 by default
"""

import os
import sys
from pathlib import Path

from asr_core.client import Client

with Client(os.environ.get("ASR_URL", "http://localhost:3000"), os.environ.get("API_KEY", "")) as client:
    for event in client.stream(Path(sys.argv[1])):
        if event["type"] == "segment":
            print(f"{event['start']:8.2f} {event['end']:8.2f}  {event['text']}", flush=True)
        else:
            print(event["text"])
