"""The work of a batch: one process a clip, a fixed number at a time."""

from __future__ import annotations

import csv
import io
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ar4d.cli import lift
from ar4d.cli.batch_clips import BatchClip, Refused
from ar4d.errors import UserError
from ar4d.files import write_text
from ar4d.runs import Run

MAX_ATTEMPTS = 3  # starts of a clip whose process is killed

Outcome = Literal["finished", "finished before", "failed", "refused", "stopped"]


@dataclass(frozen=True)
class Result:
    """A line of a batch's report."""

    name: str
    outcome: Outcome
    frames: int = 0
    """Finished frames."""
    seconds: float = 0.0
    """Of this batch, for this clip."""
    psnr: float | None = None
    """Mean over the clip at the reference view, dB."""
    message: str = ""
    """Why the clip is not finished."""


class Batch:
    """Lifts clips with worker processes, each of them `ar4d lift` as it would run alone."""

    def __init__(self, out: Path, places: Sequence[Any]) -> None:
        """
        Args:
            out: folder of the runs, the logs and the report.
            places: environment variables of each worker; as many clips are lifted at a time.
        """
        self.out = out
        self._count = len(places)
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for place in places:
            self._free.put(place)
        self._processes: set[subprocess.Popen] = set()
        self._stopped = threading.Event()

    def work(self, clips: Sequence[BatchClip], on_result: Callable[[Result], object]) -> list[Result]:
        """Lifts the clips; a clip that fails does not stop the others.

        Args:
            on_result: called in this thread with each clip's result, in the order of the clips.
        """
        results = []
        with ThreadPoolExecutor(self._count, thread_name_prefix="ar4d-batch") as pool:
            waiting = [pool.submit(self._lift, clip) for clip in clips]
            try:
                for future in waiting:
                    results.append(future.result())
                    on_result(results[-1])
            except BaseException:
                self._stop()
                raise
        return results

    def _stop(self) -> None:
        """Stops the processes in a way that keeps their finished frames."""
        self._stopped.set()
        for process in list(self._processes):
            process.send_signal(signal.SIGINT)

    def _lift(self, clip: BatchClip) -> Result:
        place = self._free.get()
        start = time.perf_counter()
        try:
            outcome, message = self._attempt(clip, place)
        except UserError as error:
            outcome, message = "failed", str(error)
        finally:
            self._free.put(place)
        frames, psnr = _measured(self.out / clip.name)
        return Result(clip.name, outcome, frames, round(time.perf_counter() - start, 1), psnr, message)

    def _attempt(self, clip: BatchClip, place: Any) -> tuple[Outcome, str]:
        folder = self.out / clip.name
        for _ in range(MAX_ATTEMPTS):
            if self._stopped.is_set():
                return "stopped", "The batch was stopped."
            arguments = [str(clip.path), "--out", str(folder), *clip.options]
            if (folder / "run.json").exists():
                if require_same(folder, clip).status == "finished":
                    return "finished before", ""
                arguments = ["--resume", "--out", str(folder)]
            code, message = self._run(arguments, clip.name, place)
            if code == 0:
                return "finished", ""
            if code > 0:
                return "failed", message
        return "failed", f"Its process was killed {MAX_ATTEMPTS} times, most likely because memory ran out."

    def _run(self, arguments: list[str], name: str, environment: Mapping[str, str]) -> tuple[int, str]:
        """Runs `ar4d lift`; returns its exit code and the sentence that it ended with."""
        log = self.out / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab+") as file:
            begin = file.seek(0, os.SEEK_END)
            process = subprocess.Popen(
                [sys.executable, "-m", "ar4d", "lift", *arguments],
                env=os.environ | environment | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
            self._processes.add(process)
            try:
                code = process.wait()
            finally:
                self._processes.discard(process)
            file.seek(begin)
            lines = file.read().decode("utf-8", "replace").split("\n")
        said = [line.removeprefix("ar4d: ") for line in lines if line.startswith("ar4d: ")]
        return code, said[-1] if said else f"An error in this program; {log} has the details."


def require_same(folder: Path, clip: BatchClip) -> Run:
    """The run in a folder.

    Raises:
        UserError: it was made of another clip or with other settings.
    """
    run = Run.open(folder)
    recipe, asked = run.record.recipe, lift.parse([str(clip.path), *clip.options], quiet=True)
    if Path(recipe.source) != clip.path.resolve() or recipe.settings != asked.settings:
        raise UserError(
            f"{folder} holds a run of another clip or with other settings; choose another --out or name."
        )
    return run


def _measured(folder: Path) -> tuple[int, float | None]:
    """Finished frames and mean PSNR of a run; nothing where there is none."""
    if not (folder / "run.json").exists():
        return 0, None
    try:
        run = Run.open(folder)
        metrics = run.metrics()
    except UserError:  # the result already says so
        return 0, None
    return run.num_finished, round(sum(metrics[0]) / len(metrics[0]), 2) if metrics else None


def write_report(path: Path, results: Sequence[Result], refused: Sequence[Refused]) -> list[Result]:
    """Writes report.csv: one line a clip, those that were left out last; returns the lines."""
    lines = [*results, *(Result(one.name, "refused", message=one.reason) for one in refused)]
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Result)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(line) for line in lines)
    write_text(path, text.getvalue())
    return lines
