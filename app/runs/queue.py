"""The queue of runs: one worker per device, and listeners that follow a run's events."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.logs import about
from app.metrics import Metrics
from app.runs.estimates import Estimator
from app.runs.progress import Progress
from app.runs.storage import JobRecord, read_job_record, strip_server_paths, update_job_record
from app.runs.tasks import Lift, LiftResult
from app.runs.worker import STOP_SECONDS, TaskFailed, WorkerDied
from ar4d.errors import UserError
from ar4d.events import Event, FrameFinished, StageFinished, drain
from ar4d.runs import Run
from ar4d.settings import EngineSettings

State = Literal["queued", "running", "stopped", "failed", "finished"]
Work = Generator[Event, None, LiftResult]
MAX_ATTEMPTS = 3  # starts of a run that was unfinished whenever the server ended

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Follower:
    """Callbacks of a listener."""

    on_event: Callable[[Event], object]
    on_end: Callable[[], None]


@dataclass(eq=False)
class Job:
    """A run, as the server tracks it."""

    run: Run
    progress: Progress
    state: State
    error: str = ""
    device: str = "cpu"
    followers: list[Follower] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    context: Context = field(default_factory=copy_context)
    """Of the request that queued it: a ZeroGPU Space charges its visitor's quota."""

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.run.folder

    @property
    def settings(self) -> EngineSettings:
        """The run's settings."""
        return self.run.record.recipe.settings

    @property
    def alive(self) -> bool:
        """Whether the run is queued or at work."""
        return self.state in ("queued", "running")

    def follow(
        self,
        begin: Callable[[], None],
        on_event: Callable[[Event], object],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Calls `begin` at once, `on_event` with each later event, and `on_end` when the work ends."""
        with self.lock:
            begin()
            if self.alive:
                self.followers.append(Follower(on_event, on_end))

    def on(self, event: Event) -> None:
        """Takes a run's event and passes it on."""
        with self.lock:
            self.progress.on(event)
            for follower in list(self.followers):
                try:
                    follower.on_event(event)
                except Exception:  # noqa: BLE001 (a listener must not stop the work)
                    _log.exception("A listener of %s failed and was removed", self.folder)
                    self.followers.remove(follower)

    def set_state(self, state: State, error: str = "") -> None:
        """Changes the state; listeners are released when the work ends."""
        with self.lock:
            self.state, self.error = state, error
            if error:
                self.progress.say(error)
            if not self.alive:
                followers, self.followers = self.followers, []
                for follower in followers:
                    follower.on_end()


class Jobs:
    """The queue, first come, first served. Events reach listeners in the queue's own threads."""

    def __init__(
        self,
        workers: Sequence[Any],
        estimator: Estimator,
        device: str = "cpu",
        metrics: Metrics | None = None,
    ) -> None:
        self.device, self.estimator = device, estimator
        self.metrics = metrics or Metrics()
        self.workers = workers
        self._known: dict[Path, Job] = {}  # alive, or failed since the server started
        self._waiting: list[Job] = []
        self._running: dict[Job, Any] = {}
        self._changed = threading.Condition()
        self._closed = False
        self.hurry = threading.Event()
        """Set to end the wait of `close` early."""
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True, name=f"ar4d-{worker.name}")
            for worker in workers
        ]
        for thread in self._threads:
            thread.start()

    def warm_up(self) -> None:
        """Starts the worker processes before there is work."""
        for worker in self.workers:
            worker.start()

    def submit(self, folder: Path, attempts: int = 0) -> Job:
        """Queues a new, stopped or failed run.

        Args:
            attempts: how often it was started before, since the visitor asked for it.

        Raises:
            UserError: the run is finished, or its folder cannot be read.
        """
        with self._changed:
            known = self._known.get(folder)
            if known is not None and known.alive:
                return known
            job = self._load(folder)
            if job.state == "finished":
                raise UserError("This run is finished; there is nothing to resume.")
            job.state, job.error = "queued", ""
            update_job_record(folder, enqueued=True, attempts=attempts + 1)
            self._known[folder] = job
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def get(self, folder: Path) -> Job:
        """The job of a run; one that is not alive is read from the disk.

        Raises:
            UserError: the folder cannot be read.
        """
        return self._known.get(folder) or self._load(folder)

    def cancel(self, folder: Path) -> None:
        """Takes a run out of the queue, or stops it and keeps its finished frames."""
        with self._changed:
            job = self._known.get(folder)
            if job is None or not job.alive:
                return
            update_job_record(folder, enqueued=False)
            if job in self._waiting:
                self._waiting.remove(job)
                del self._known[folder]
                job.set_state("stopped")
            elif job in self._running:
                job.progress.say("Stopping …")
                self._running[job].stop()

    def forget(self, folder: Path) -> None:
        """Cancels a run that is about to be deleted, and drops its job."""
        self.cancel(folder)
        with self._changed:
            self._known.pop(folder, None)

    def position(self, job: Job) -> int:
        """Number of runs before it in the queue; 0 for the next one and for one at work."""
        with self._changed:
            return self._waiting.index(job) if job in self._waiting else 0

    def seconds_until(self, job: Job) -> float:
        """Seconds until a queued run starts: the work before it, shared by all workers."""
        with self._changed:
            before = self._waiting[: self.position(job)]
            work = [self.seconds_left(other) for other in [*self._running, *before]]
            free = len(self.workers) - len(self._running)
        return 0.0 if free > len(before) else sum(work) / len(self.workers)

    def seconds_left(self, job: Job) -> float:
        """Seconds of work until the run is finished."""
        progress = job.progress
        expected = self.estimator.estimate(
            job.settings, progress.num_frames, self.device, progress.frames_done
        ).seconds
        return progress.smooth_seconds_left(expected, time.time()) or 0.0

    def restore(self, folders: Sequence[Path]) -> None:
        """Queues the runs that were queued or at work when the server ended, in their old order."""
        for record, folder in _enqueued(folders):
            try:
                if record.attempts >= MAX_ATTEMPTS:
                    update_job_record(folder, enqueued=False)
                    _log.warning("%s is not resumed: %d starts failed.", folder, record.attempts)
                else:
                    self.submit(folder, record.attempts)
            except UserError as error:
                update_job_record(folder, enqueued=False)
                _log.warning("%s is not resumed: %s", folder, error)

    def counts(self) -> tuple[int, int]:
        """How many runs wait, and how many are at work."""
        with self._changed:
            return len(self._waiting), len(self._running)

    def close(self, grace_seconds: float = 0.0, stop_seconds: float = STOP_SECONDS) -> None:
        """Stops the workers; a server that starts later resumes unfinished runs.

        Args:
            grace_seconds: how long the runs at work may go on until they have stored their current frame.
            stop_seconds: how long all workers together then get to stop by themselves.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            running = list(self._running)
        _wait_for_frames(running, grace_seconds, self.hurry)
        end = time.monotonic() + stop_seconds
        for worker in self.workers:
            worker.release()
        for worker in self.workers:
            worker.close(max(0.0, end - time.monotonic()))
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    # --- the workers' threads -------------------------------------------------------------------

    def _load(self, folder: Path) -> Job:
        run = Run.open(folder)
        states: dict[str, State] = {"finished": "finished", "failed": "failed"}
        state = states.get(run.status, "stopped")
        progress = Progress.read(run)
        error = strip_server_paths(run.record.error or "")
        return Job(run, progress, state, error, device=self.device)

    def _serve(self, worker: Any) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job = self._waiting.pop(0)
                self._running[job] = worker
                job.set_state("running")
            try:
                with about(job.folder.name):
                    self._work(job, worker)
            except Exception:  # noqa: BLE001 (one run must not stop the queue)
                _log.exception("The run in %s failed", job.folder)
                self._finish(
                    job,
                    "failed",
                    "An error in this program stopped the run; the server's log has the details.",
                )
            finally:
                with self._changed:
                    del self._running[job]

    def _work(self, job: Job, worker: Any) -> None:
        resumed = job.progress.frames_done > 0
        _log.info("Starts on %s with %d frames finished", worker.name, job.progress.frames_done)

        def on(event: Event) -> None:
            self.metrics.on(event)
            job.on(event)

        try:
            result: LiftResult = drain(_within(job.context, worker.run(Lift(job.folder))), on)
        except UserError as error:
            return self._finish(job, "failed", str(error))
        except WorkerDied as error:
            if error.requested:
                return self._finish(job, "stopped")
            return self._finish(job, "failed", f"{error} Finished frames are kept; press Resume to continue.")
        except TaskFailed as error:
            return self._finish(job, "failed", f"An error in this program stopped the run: {error}.")
        if not result.finished:
            return self._finish(job, "stopped")
        if not resumed:
            seconds = {name: stage.seconds for name, stage in job.progress.stages.items() if stage.finished}
            self.estimator.learn(job.settings, job.progress.num_frames, self.device, seconds, result.memory)
        self._finish(job, "finished")

    def _finish(self, job: Job, state: State, error: str = "") -> None:
        if self._closed and state != "finished":
            _log.info("Interrupted by the server's end; the next server resumes it")
            return  # it stays enqueued, so that the next server resumes it
        self.metrics.end(state)
        _log.info(
            "Ends as %s after %d frames%s", state, job.progress.frames_done, f": {error}" if error else ""
        )
        with self._changed:  # before the state changes: a visitor may resume the run as soon as it has
            try:
                update_job_record(job.folder, enqueued=False)
            except UserError as problem:  # the disk is full, or the folder is gone
                _log.warning("The job record in %s cannot be written: %s", job.folder, problem)
            else:
                if state != "failed":  # the folder records everything except why a worker died
                    self._known.pop(job.folder, None)
        job.set_state(state, strip_server_paths(error))


def _within(context: Context, stream: Work) -> Work:
    """A stream whose code runs in a context."""
    with closing(stream):
        while True:
            try:
                event = context.run(next, stream)
            except StopIteration as end:
                return end.value
            yield event


def _wait_for_frames(jobs: Sequence[Job], seconds: float, hurry: threading.Event) -> None:
    """Waits until each run has stored its current frame or stage, or has ended; at most `seconds`."""
    left = set(jobs) if seconds else set()
    for job in list(left):

        def stored(event: Event, job: Job = job) -> None:
            if isinstance(event, FrameFinished | StageFinished):
                left.discard(job)

        job.follow(lambda: None, stored, lambda job=job: left.discard(job))
        if not job.alive:
            left.discard(job)
    end = time.monotonic() + seconds
    while left and time.monotonic() < end and not hurry.wait(0.05):
        pass


def _enqueued(folders: Sequence[Path]) -> list[tuple[JobRecord, Path]]:
    """The runs that wait or are at work by their job record, oldest first."""
    found = []
    for folder in folders:
        try:
            record = read_job_record(folder)
        except UserError as error:  # a damaged record must not keep the server from starting
            _log.warning("%s is not resumed: %s", folder, error)
            continue
        if record.enqueued:
            found.append((record, folder))
    return sorted(found, key=lambda pair: pair[0].created)
