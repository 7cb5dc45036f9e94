"""How far an export is: writers pass what they iterate over through `track`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from ar4d.reporting import OnProgress

T = TypeVar("T")
_listener: ContextVar[OnProgress | None] = ContextVar("listener", default=None)


@contextmanager
def reported_to(on_progress: OnProgress | None) -> Iterator[None]:
    """Reports what `track` sees to `on_progress` while the body runs; it may raise to stop the export."""
    token = _listener.set(on_progress)
    try:
        yield
    finally:
        _listener.reset(token)


def track(items: Iterable[T], total: int, task: str) -> Iterator[T]:
    """Yields the items; reports how many of `total` the caller has worked off.

    Args:
        task: what is being done, as "Rendering".
    """
    done = 0
    for item in items:
        report(task, done, total)
        yield item
        done += 1
    report(task, done, total)


def report(task: str, done: int, total: int) -> None:
    """Reports that `done` of `total` parts of a task are done."""
    listener = _listener.get()
    if listener is not None:
        listener(task, done, total)
