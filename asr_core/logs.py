"""Logging: one handler for everything, text or JSON, each line with the id of the request that it belongs to."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

subject: ContextVar[str] = ContextVar("subject", default="-")
"""What the current task works for: a request, by its id, or a recording of a batch, by its name; `-` if neither."""

_remarks: ContextVar[list[str] | None] = ContextVar("remarks", default=None)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

_TEXT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
_CHATTY = ("circus", "uvicorn.error", "uvicorn.access", "httpx")
"""Libraries whose mere information is of no use to whoever runs the server."""


def remark(text: str) -> None:
    """Have `text`, of one line, said in that about the request in hand; nothing happens where there is none."""
    if (remarks := _remarks.get()) is not None:
        remarks.append(text)


@contextmanager
def gathered_remarks() -> Iterator[list[str]]:
    """What is remarked within the block, also by the tasks that are begun in it."""
    remarks: list[str] = []
    token = _remarks.set(remarks)
    try:
        yield remarks
    finally:
        _remarks.reset(token)


def one_line(text: str) -> str:
    """`text` without anything that could pass for another line of the log."""
    return _UNPRINTABLE.sub(" ", text)


class _RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = subject.get()
        return True


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """A request that a stopping server cancels is nothing to show a traceback of; it has its own line."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


class _JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, request_id, message, exception if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure_logging(level: str, *, as_json: bool) -> None:
    """Send all of the process's log, the serving libraries' included, to stderr in one form.

    Their own handlers are removed: whatever configured them before, no line appears twice or in another shape.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_RequestIdFilter())
    handler.addFilter(_is_no_cancellation)
    handler.setFormatter(_JsonFormatter() if as_json else logging.Formatter(_TEXT, "%Y-%m-%dT%H:%M:%S%z"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("bentoml", "circus", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
