"""The actor that works on runs on a node of the cluster."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

STEP_SECONDS = 0.2  # between two reports within a frame

Message = tuple[str, Any]


class Lifter:
    """Works on one run at a time, in a folder of its own that is gone afterwards."""

    def __init__(self) -> None:
        from ar4d.threads import configure_threads

        configure_threads()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Has the work stop at its next step."""
        self._stopped.set()

    def work(self, files: dict[str, bytes]) -> Iterator[Message]:
        """Works on a run until it is finished or stopped.

        Args:
            files: the run's folder as it is.

        Yields:
            ("files", those that are new or have changed), ("event", JSON), and at the end ("result",
            (finished, bytes of memory, bytes of GPU memory)) or ("user_error", a sentence).
        """
        from ar4d.cluster.folder import Watched, write
        from ar4d.errors import UserError

        self._stopped.clear()
        with tempfile.TemporaryDirectory(prefix="ar4d-") as name:
            folder = Path(name) / "run"
            write(folder, files)
            watched = Watched(folder)
            watched.changes()
            try:
                yield from self._work(folder, watched)
            except UserError as error:
                yield "files", watched.changes()
                yield "user_error", f"On the node {socket.gethostname()}: {_without(folder, str(error))}"

    def _work(self, folder: Path, watched: Any) -> Iterator[Message]:
        from ar4d.events import Finished, Progress, Step, to_json
        from ar4d.lifting import check
        from ar4d.runs import Run

        run, memory, reported, finished = Run.open(folder), 0, 0.0, False
        kept = {"clip_to_views": None} if (folder / "views" / "views.json").exists() else {}
        check(run.record.recipe.settings, kept)
        with closing(run.work()) as events:
            for event in events:
                brief = isinstance(event, Step | Progress)
                if not brief or time.monotonic() > reported + STEP_SECONDS:
                    reported = time.monotonic()
                    memory = max(memory, _memory())
                    if not brief:
                        yield "files", watched.changes()
                    yield "event", to_json(event)
                finished = isinstance(event, Finished)
                if self._stopped.is_set() and not finished:
                    break
        yield "files", watched.changes()
        yield "result", (finished, memory, _gpu_memory())


def _without(folder: Path, text: str) -> str:
    """A sentence without the temporary folder's path."""
    return text.replace(f"{folder}/", "").replace(str(folder), "the run")


def _memory() -> int:
    import psutil

    return psutil.Process().memory_info().rss


def _gpu_memory() -> int:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
