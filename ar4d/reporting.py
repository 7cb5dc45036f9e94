"""Events out of work that can only call back: downloads, samplers of other libraries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from queue import SimpleQueue
from typing import Any, TypeVar

from ar4d.events import Event

T = TypeVar("T")
Report = Callable[[Event], None]


class Abandoned(BaseException):
    """Raised inside the work, at its next report, once nobody wants its result any more."""


def reporting(work: Callable[[Report], T]) -> Generator[Event, None, T]:
    """Runs `work` in a thread and yields what it reports as it comes.

    Closing the generator (or Ctrl-C) stops the work at its next report and waits for that.

    Args:
        work: called with a function that takes an event.

    Returns:
        What `work` returns; its exceptions are raised here.
    """
    news: SimpleQueue[tuple[str, Any]] = SimpleQueue()
    closed = threading.Event()

    def report(event: Event) -> None:
        if closed.is_set():
            raise Abandoned
        news.put(("event", event))

    def run() -> None:
        try:
            news.put(("result", work(report)))
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
            news.put(("error", error))

    thread = threading.Thread(target=run, name="ar4d-reporting", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = news.get()
            if kind == "result":
                return value
            if kind == "error":
                raise value
            yield value
    finally:
        closed.set()
        thread.join()
