"""The log, read back from a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import logging, sys
from asr_core.logs import configure_logging, subject
logging.basicConfig(stream=sys.stderr, format="twice %(message)s")
logging.getLogger("bentoml").addHandler(logging.StreamHandler(sys.stderr))
configure_logging("INFO", as_json={as_json})
logging.getLogger("bentoml.serve").info("before")
subject.set("abc")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("asr_core.x").exception("while дробь\\nwas divided")
logging.getLogger("asr_core.x").debug("too small to matter")
logging.getLogger("uvicorn.error").info("chatter")
"""


def log(*, as_json: bool) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(as_json=as_json)], capture_output=True, check=True, timeout=60
    )
    return done.stderr.decode().splitlines()


def test_json_has_one_object_a_line_with_the_request_id_and_the_traceback() -> None:
    before, during = (json.loads(line) for line in log(as_json=True))
    assert (before["logger"], before["level"], before["request_id"]) == ("bentoml.serve", "INFO", "-")
    assert (during["message"], during["request_id"]) == ("while дробь\nwas divided", "abc")
    assert "ZeroDivisionError" in during["exception"]


def test_text_has_the_level_the_logger_and_the_request_id() -> None:
    first, second, *rest = log(as_json=False)
    assert first.endswith("INFO bentoml.serve [-] before")
    assert second.endswith("ERROR asr_core.x [abc] while дробь")
    assert rest[-1].startswith("ZeroDivisionError")


def test_a_request_that_a_stopping_server_cancels_has_no_traceback() -> None:
    code = """
import asyncio, logging
from asr_core.logs import configure_logging
configure_logging("INFO", as_json=False)
for error in (asyncio.CancelledError(), ValueError("ours")):
    try:
        raise error
    except BaseException:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "CancelledError" not in done.stderr
    assert done.stderr.count("Exception in ASGI application") == 1
    assert "ValueError: ours" in done.stderr
