"""The server's log: one line per message, with the run that it is about.

`AR4D_LOG_FORMAT=json` writes JSON objects for a log collector: time, level, logger, message, and run and
error where there are any. `text`, the default, writes lines for people.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from ar4d.errors import UserError

FORMATS = ("text", "json")
_run: ContextVar[str] = ContextVar("run", default="")


@contextmanager
def about(run: str) -> Iterator[None]:
    """Marks the messages of this thread with a run's id; an empty id leaves the mark as it is."""
    mark = _run.set(run or _run.get())
    try:
        yield
    finally:
        _run.reset(mark)


def configure() -> None:
    """Sends the messages of the program and its libraries to standard error.

    Raises:
        UserError: `AR4D_LOG_FORMAT` names no format.
    """
    format = os.environ.get("AR4D_LOG_FORMAT", "text")
    if format not in FORMATS:
        raise UserError(f'AR4D_LOG_FORMAT is "{format}"; choose {" or ".join(FORMATS)}.')
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("app", "ar4d"):
        logging.getLogger(name).setLevel(logging.INFO)


class TextFormatter(logging.Formatter):
    """Lines for people: time, level, run, message."""

    def format(self, record: logging.LogRecord) -> str:
        run = f" [{_run.get()}]" if _run.get() else ""
        line = f"{_time(record)} {record.levelname}{run} {record.getMessage()}"
        return line + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


class JsonFormatter(logging.Formatter):
    """JSON objects, one a line."""

    def format(self, record: logging.LogRecord) -> str:
        values = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if _run.get():
            values["run"] = _run.get()
        if record.exc_info:
            values["error"] = self.formatException(record.exc_info)
        return json.dumps(values)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
