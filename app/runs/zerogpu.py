"""Runs on a ZeroGPU Space, which has a GPU only inside calls of functions that `spaces.GPU` has decorated.

Such a call runs in a process forked from the server, for at most the duration that it asked for; what it
takes and yields is pickled. A run is therefore worked on in several calls. Each stores its frames in the
run's folder and yields events as JSON: tensors of a GPU never cross the process's border, and the server
itself never touches CUDA. A call ends by itself before its time is over; one that is taken away costs the
frame at work. The next call goes on from the last whole frame.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.runs.estimates import Estimator
from app.runs.tasks import STEP_SECONDS, Lift, LiftResult, is_intermediate, peak_memory, wait_until_free
from app.runs.worker import TaskFailed, WorkerDied
from ar4d.errors import UserError
from ar4d.events import Event, Finished, FrameFinished, Planned, StageFinished, Step, from_json, to_json
from ar4d.runs import Run

MOST_SECONDS = 120.0  # of a call, unless one frame or stage needs more
START_SECONDS = 20.0  # that a call needs before it computes: CUDA's start, weights
MARGIN = 1.5  # asked for over what is estimated
AT_ONCE = 2  # runs at work at the same time
LOST_CALLS = 3  # in a row, without a new frame, after which a run is given up
STOP = ".stop"  # the file in a run's folder that ends a call

Message = tuple[str, str]
_log = logging.getLogger(__name__)


def active() -> bool:
    """Whether this is a ZeroGPU Space."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def prepare() -> None:
    """Loads the package `spaces` first, which takes the place of CUDA in this process."""
    if active():
        import spaces  # noqa: F401  # type: ignore[import-not-found]


@dataclass(frozen=True)
class Call:
    """One call: for how long, and how long the pieces take that cannot be interrupted without a loss."""

    seconds: float
    pieces: Mapping[str, float]
    """Seconds of a frame, or of a stage that makes no frames, by stage."""


def plan_call(left: Mapping[str, float], pieces: Mapping[str, float], lost: int = 0) -> Call:
    """A call for as much of a run as fits.

    Args:
        left: estimated seconds of what is left, by stage.
        pieces: of these, the seconds of a frame, or of a stage that makes no frames.
        lost: how many calls before it were lost.
    """
    more = 2**lost
    longest = max((seconds for stage, seconds in pieces.items() if left.get(stage)), default=0.0)
    most = max(MOST_SECONDS, more * (START_SECONDS + MARGIN * longest))
    asked = more * (START_SECONDS + MARGIN * sum(left.values()))
    return Call(round(min(asked, most)), {name: MARGIN * seconds for name, seconds in pieces.items()})


def work_on(folder: str, seconds: float, pieces: dict[str, float]) -> Iterator[Message]:
    """Works on a run for a while; `spaces.GPU` runs it in a forked process.

    Args:
        folder: of the run.
        seconds: after which it has to have ended.
        pieces: as in `Call`.

    Yields:
        ("event", JSON); at the end ("result", finished or stopped and the memory) or
        ("user_error" or "failed", a sentence).
    """
    import torch

    torch.set_num_threads(1)  # neither OpenMP's threads nor the kernels' survive a fork
    try:
        yield from _work_on(Path(folder), time.monotonic() + seconds, pieces)
    except UserError as error:
        yield "user_error", str(error)
    except Exception as error:  # noqa: BLE001 (the server reports it)
        _log.exception("A run failed")
        yield "failed", "".join(traceback.format_exception_only(error)).strip()


def _work_on(folder: Path, end: float, pieces: dict[str, float]) -> Iterator[Message]:
    wait_until_free(folder)
    run, reported, finished, slowest, worked, last = Run.open(folder), 0.0, False, 0.0, False, ""
    with closing(run.work()) as events:
        for event in events:
            stopped = (folder / STOP).exists()
            if not is_intermediate(event) or time.monotonic() > reported + STEP_SECONDS:
                reported = time.monotonic()
                yield "event", to_json(event)
            finished = isinstance(event, Finished)
            if isinstance(event, FrameFinished):
                slowest = max(slowest, event.seconds)
            worked = worked or isinstance(event, FrameFinished | Step)  # a resumed run repeats ends of stages
            last = event.stages[-1].name if isinstance(event, Planned) else last
            whole = worked and isinstance(event, FrameFinished | StageFinished)
            if isinstance(event, StageFinished) and event.stage == last:
                continue  # the result comes next
            if stopped or (whole and time.monotonic() + _next_piece(run, pieces, slowest) > end):
                break
    memory, gpu_memory = peak_memory()
    yield "result", f"{int(finished)} {memory} {gpu_memory}"


def _next_piece(run: Run, pieces: Mapping[str, float], slowest_frame: float) -> float:
    """Seconds until the run can be interrupted again."""
    if run.num_finished < run.num_frames:
        return slowest_frame or pieces.get("generate", 0.0)
    return pieces.get("refine", max(pieces.values(), default=0.0))


Gpu = Callable[[str, float, dict[str, float]], Generator[Message, None, None]]


def decorated() -> Gpu:
    """`work_on` as a call that gets a GPU for the duration that is its second argument."""
    import spaces  # type: ignore[import-not-found]

    return spaces.GPU(duration=lambda folder, seconds, pieces: seconds)(work_on)


class ZeroGpuWorker:
    """Works on runs in calls, with the methods of a `Worker`; it has no process of its own."""

    pid: int | None = None

    def __init__(self, name: str, gpu: Gpu, estimator: Estimator) -> None:
        """
        Args:
            gpu: as `decorated` returns it.
        """
        self.name = name
        self._gpu, self._estimator = gpu, estimator
        self._busy = threading.Lock()
        self._folder: Path | None = None
        self._closed = False

    def start(self) -> None:
        """Does nothing: the process is forked for each call."""

    def run(self, task: Lift, seconds: float | None = None) -> Generator[Event, None, LiftResult]:
        """Yields a run's events until it is finished or stopped.

        Raises:
            UserError: the work cannot be done, or no GPU is granted.
            TaskFailed: the work raised another error.
            WorkerDied: calls were lost again and again without a new frame.
        """
        with self._busy:
            self._folder = task.folder
            (task.folder / STOP).unlink(missing_ok=True)
            try:
                return (yield from self._calls(task.folder))
            finally:
                (task.folder / STOP).unlink(missing_ok=True)
                self._folder = None

    def _calls(self, folder: Path) -> Generator[Event, None, LiftResult]:
        lost, memory, gpu_memory = 0, 0, 0
        while True:
            run = Run.open(folder)
            before = run.num_finished
            call = self._plan(run, lost)
            result = yield from self._call(folder, call)
            if result is not None:
                memory, gpu_memory = max(memory, result.memory), max(gpu_memory, result.gpu_memory)
                if result.finished or self._closed or (folder / STOP).exists():
                    return LiftResult(result.finished, memory, gpu_memory)
            lost = 0 if run.num_finished > before else lost + 1
            if lost >= LOST_CALLS:
                raise WorkerDied(None, requested=False)

    def _plan(self, run: Run, lost: int) -> Call:
        settings, num_frames, done = run.record.recipe.settings, run.num_frames, run.num_finished
        left = self._estimator.estimate(settings, num_frames, "cuda", done).seconds
        frames = {"generate": max(num_frames - max(done, 1), 1)}
        return plan_call(left, {stage: left[stage] / frames.get(stage, 1) for stage in left}, lost)

    def _call(self, folder: Path, call: Call) -> Generator[Event, None, LiftResult | None]:
        """Yields the events of one call; returns its result, or None if it was taken away."""
        result = None
        with closing(self._gpu(str(folder), call.seconds, dict(call.pieces))) as messages:
            while True:
                try:
                    kind, value = next(messages)
                except StopIteration:
                    return result
                except Exception as error:  # noqa: BLE001 (Gradio's errors, by which `spaces` refuses)
                    return _refusal(error)
                match kind:
                    case "event":
                        yield from_json(value)
                    case "result":
                        finished, memory, gpu_memory = map(int, value.split())
                        result = LiftResult(bool(finished), memory, gpu_memory)
                    case "user_error":
                        raise UserError(value)
                    case _:
                        raise TaskFailed(value)

    def stop(self) -> None:
        """Asks the current call to stop at its next step."""
        folder = self._folder
        if folder is not None:
            (folder / STOP).touch()

    def release(self) -> None:
        """Asks the current call to stop, and does not wait for it."""
        self._closed = True
        self.stop()

    def close(self, seconds: float = 0.0) -> None:
        """Asks the current call to stop, and waits for it."""
        self.release()
        if self._busy.acquire(timeout=max(0.0, seconds)):
            self._busy.release()


def _refusal(error: Exception) -> None:
    """None if the call's process has gone; that no GPU is granted is a sentence.

    Raises:
        UserError: no GPU is granted.
    """
    title, text = str(getattr(error, "title", "")), str(getattr(error, "message", "") or error)
    if "worker error" in title.lower():
        _log.warning("A call was lost: %s", text)
        return
    raise UserError(f"The Space got no GPU: {text.strip().rstrip('.')}. Press Resume later.") from error


def workers(estimator: Estimator) -> list[Any]:
    """The workers of a ZeroGPU Space."""
    gpu = decorated()
    return [ZeroGpuWorker(f"zerogpu-{k}", gpu, estimator) for k in range(AT_ONCE)]
