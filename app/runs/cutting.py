"""Cut-outs on their way through the worker, which visitors can cancel."""

from __future__ import annotations

import threading
from collections.abc import Generator
from pathlib import Path

from app.runs.tasks import CutOut
from app.runs.worker import Worker
from ar4d.events import Event


class Cuts:
    """Runs cut-outs on a worker that other tasks use as well, so that a cancel hits its own task alone."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._lock = threading.Lock()
        self._at_work: Path | None = None
        self._cancelled: set[Path] = set()
        self._wanted: dict[Path, int] = {}  # how many cut-outs of a draft are under way

    def run(self, task: CutOut, seconds: float) -> Generator[Event, None, bool]:
        """Yields a cut-out's progress; returns whether it was finished.

        Args:
            seconds: that it may take.

        Raises:
            Exception: as `Worker.run`.
        """
        with self._lock:
            self._wanted[task.folder] = self._wanted.get(task.folder, 0) + 1
        events = self._worker.run(task, seconds)
        try:
            while True:
                try:
                    event = next(events)
                except StopIteration as end:
                    return bool(end.value)
                with self._lock:
                    self._at_work = task.folder
                    stop = task.folder in self._cancelled
                    self._cancelled.discard(task.folder)
                if stop:  # it was cancelled while it waited
                    self._worker.stop()
                yield event
        except GeneratorExit:  # the visitor has left: the worker has to end the task before the next one
            self._worker.stop()
            for _ in events:
                pass
            raise
        finally:
            with self._lock:
                self._at_work = None if self._at_work == task.folder else self._at_work
                self._wanted[task.folder] -= 1
                if not self._wanted[task.folder]:
                    del self._wanted[task.folder]
                    self._cancelled.discard(task.folder)

    def cancel(self, folder: Path) -> None:
        """Stops the cut-out of a draft, or has it stop as soon as it begins."""
        with self._lock:
            if folder not in self._wanted:
                return
            if self._at_work != folder:
                self._cancelled.add(folder)
                return
        self._worker.stop()
