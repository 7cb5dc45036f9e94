"""Events out of work that can only call back: downloads, samplers of other libraries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from ar4d.events import Event, Progress, ViewsDrawn, Warned

T = TypeVar("T")
Report = Callable[[Event], None]
OnViews = Callable[[range, Tensor], None]
"""Called with the frames that were drawn and their views [V, frames, S, S, 4], straight alpha; frames may
come again, better than before. May raise to stop the work."""
OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much; may raise to stop it."""


@runtime_checkable
class ReportsProgress(Protocol):
    """Optional protocol for experts that work for seconds."""

    on_progress: OnProgress | None
    """Called while the expert works."""


@runtime_checkable
class ReportsViews(Protocol):
    """Optional protocol for `ClipToViews` experts that draw some frames at a time.

    If such an expert has `can_continue = True`, its `imagine` takes `known`, [V, K, S, S, 4]: views of the
    first K frames that it drew before it was interrupted.
    """

    on_views: OnViews | None
    """Called after some frames are drawn."""


@runtime_checkable
class ReportsWarnings(Protocol):
    """Optional protocol for experts that find a smaller way when memory runs out."""

    warnings: list[str]
    """Sentences about what had to be made smaller; `take_warnings` empties the list."""


def take_warnings(expert: object) -> list[Warned]:
    """What an expert has to say since the last call; nothing if it is not one that `ReportsWarnings`."""
    if not isinstance(expert, ReportsWarnings):
        return []
    taken = [Warned(sentence) for sentence in expert.warnings]
    expert.warnings.clear()
    return taken


class Abandoned(BaseException):
    """Raised inside the work, at its next report, once its result is no longer wanted."""


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


def reporting_progress(expert: object, work: Callable[[], T]) -> Generator[Event, None, T]:
    """Runs `work`, which calls `expert`; yields the progress, and the views, of an expert that reports any.

    Args:
        expert: one that `ReportsProgress`, or not; the work of any other is just done.
    """
    if not isinstance(expert, ReportsProgress):
        return work()

    def run(report: Report) -> T:
        expert.on_progress = lambda task, done, total: report(Progress(task, done, total))
        if isinstance(expert, ReportsViews):
            expert.on_views = lambda frames, rgba: report(_drawn(expert, frames, rgba))
        try:
            return work()
        finally:
            expert.on_progress = None
            if isinstance(expert, ReportsViews):
                expert.on_views = None

    return (yield from reporting(run))


def _drawn(expert: Any, frames: range, rgba: Tensor) -> ViewsDrawn:
    """
    Args:
        expert: a `ClipToViews`; the first of its azimuths is the clip's own.
    """
    return ViewsDrawn(tuple(expert.azimuths_deg[1:]), frames.start, len(frames), rgba)


class Inbox:
    """Events from code that cannot yield; a stream passes them on."""

    def __init__(self) -> None:
        self._events: SimpleQueue[Event] = SimpleQueue()

    def put(self, event: Event) -> None:
        self._events.put(event)

    def take(self) -> list[Event]:
        """The events since the last call."""
        return [self._events.get() for _ in range(self._events.qsize())]

    def joined(self, stream: Generator[Event, None, T]) -> Generator[Event, None, T]:
        """The events of `stream`, and between them those that were put in meanwhile."""
        try:
            while True:
                try:
                    event = next(stream)
                except StopIteration as end:
                    yield from self.take()
                    return end.value
                yield from self.take()
                yield event
        finally:
            stream.close()
