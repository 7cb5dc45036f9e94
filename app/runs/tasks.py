"""Tasks for workers. They import heavy modules when they run, because the server only names them."""

from __future__ import annotations

import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from app.runs.worker import Report
    from ar4d.clip import ClipSettings
    from ar4d.events import Event
    from ar4d.reporting import OnProgress

STEP_SECONDS = 0.2  # between two reports within a frame


@dataclass(frozen=True)
class LiftResult:
    """The outcome of working on a run."""

    finished: bool
    memory: int
    """Peak memory of the process, bytes."""
    gpu_memory: int = 0
    """Peak memory on the GPU, bytes."""


@dataclass(frozen=True)
class Lift:
    """Works on a run until it is finished or stopped; reports its events."""

    folder: Path

    @property
    def run_id(self) -> str:
        """The run's id, which the messages of the work are marked with."""
        return self.folder.name

    def work(self, report: Report, stopped: threading.Event) -> LiftResult:
        from ar4d.events import Finished
        from ar4d.runs import Run

        wait_until_free(self.folder)
        run, memory, reported, finished = Run.open(self.folder), 0, 0.0, False
        with closing(run.work()) as events:
            for event in events:
                if is_intermediate(event) and time.monotonic() < reported + STEP_SECONDS:
                    if stopped.is_set():
                        break
                    continue
                reported = time.monotonic()
                memory = max(memory, peak_memory()[0])
                report(event)
                finished = isinstance(event, Finished)
                if stopped.is_set() and not finished:
                    break
        return LiftResult(finished, memory, peak_memory()[1])


class _Cancelled(Exception):
    """The visitor has cancelled a cut-out."""


@dataclass(frozen=True)
class CutOut:
    """Cuts the subject out of a draft's video; returns whether it was finished."""

    folder: Path
    settings: ClipSettings
    size: int
    max_seconds: float
    max_pixels: float
    max_frames: int

    def work(self, report: Report, stopped: threading.Event) -> bool:
        from app.runs.drafts import cut_out, forget_progress, write_progress
        from ar4d.events import Progress

        def on_frame(task: str, number: int, total: int, picture: np.ndarray | None) -> None:
            if stopped.is_set():
                raise _Cancelled
            if picture is not None:
                write_progress(self.folder, number, picture)
            report(Progress(task, number, total))

        forget_progress(self.folder)
        try:
            limits = self.max_seconds, self.max_pixels, self.max_frames
            cut_out(self.folder, self.settings, self.size, *limits, on_frame)
        except _Cancelled:
            return False
        finally:
            forget_progress(self.folder)
        return True


@dataclass(frozen=True)
class Export:
    """Writes a finished run as one file that can be downloaded; returns its path."""

    folder: Path
    format: str
    out: Path
    options: dict
    original: bool = False
    """Leaves out what was cleaned up by hand."""
    cancel: Path | None = None
    """The export stops, and leaves nothing behind, once this file exists."""

    def work(self, report: Report, stopped: threading.Event) -> Path:
        import tempfile
        import zipfile

        from ar4d.files import atomic
        from ar4d.formats import export, find_format
        from ar4d.formats.from_run import options_of_run
        from ar4d.runs import Run

        progress = self._progress(report, stopped)
        progress("Reading the result", 0, 1)
        run, kind = Run.open(self.folder), find_format(self.format)
        asset, of_run = run.result(self.original), options_of_run(kind, run)
        asked = {name: value for name, value in self.options.items() if value != ""}  # an empty field
        values = {**of_run, **asked}
        if "input" in of_run:  # a visitor must not have other folders read
            values["input"] = of_run["input"]
        options = kind.make_options(values)
        if self.out.suffix != ".zip":
            return export(asset, self.format, self.out, options, on_progress=progress)[0]
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            files = export(asset, self.format, Path(folder) / self.out.stem, options, on_progress=progress)
            with atomic(self.out) as path, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
                for file in files:
                    archive.write(file, f"{self.out.stem}/{file.name}")
        return self.out

    def _progress(self, report: Report, stopped: threading.Event) -> OnProgress:
        from ar4d.errors import UserError
        from ar4d.events import Progress

        reported = 0.0

        def on_progress(task: str, done: int, total: int) -> None:
            nonlocal reported
            if stopped.is_set() or (self.cancel is not None and self.cancel.exists()):
                raise UserError("The export was cancelled.")
            if done < total and time.monotonic() < reported + STEP_SECONDS:
                return
            reported = time.monotonic()
            report(Progress(task, done, total))

        return on_progress


def wait_until_free(folder: Path) -> None:
    """Waits until the worker of a server that was killed has let the run go, which it does by itself."""
    from filelock import FileLock, Timeout

    from app.runs.worker import STOP_SECONDS

    with suppress(Timeout), FileLock(folder / ".lock", timeout=STOP_SECONDS + 5):
        pass


def is_intermediate(event: Event) -> bool:
    """Whether a later event of the same kind replaces this one."""
    from ar4d.events import Progress, Step

    match event:
        case Step():
            return event.step < event.num_steps
        case Progress():
            return event.done < event.total
    return False


def peak_memory() -> tuple[int, int]:
    """Bytes that this process holds now, and the most that it has held on the GPU."""
    import psutil
    import torch

    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return psutil.Process().memory_info().rss, gpu
