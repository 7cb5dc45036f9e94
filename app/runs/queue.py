"""The queue of runs: one worker per device; whoever wants to may follow."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.runs.estimates import Estimator
from app.runs.progress import Progress
from app.runs.storage import change_label, discreet, read_label
from app.runs.tasks import Lift, Lifted
from app.runs.worker import TaskFailed, Worker, WorkerDied
from ar4d.errors import UserError
from ar4d.events import Event, drain
from ar4d.runs import Run
from ar4d.settings import Settings

State = Literal["queued", "running", "stopped", "failed", "finished"]
MAX_ATTEMPTS = 3  # of a run that was not whole when the server ended

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Follower:
    """Callbacks of a listener."""

    on_event: Callable[[Event], object]
    on_end: Callable[[], None]


@dataclass(eq=False)
class Job:
    """A run as the server sees it."""

    folder: Path
    settings: Settings
    progress: Progress
    state: State
    error: str = ""
    device: str = "cpu"
    followers: list[Follower] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def alive(self) -> bool:
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
                except Exception:  # noqa: BLE001 (whoever watches does not stop the work)
                    _log.exception("A follower of %s is left behind", self.folder)
                    self.followers.remove(follower)

    def become(self, state: State, error: str = "") -> None:
        with self.lock:
            self.state, self.error = state, error
            if error:
                self.progress.say(error)
            if not self.alive:
                followers, self.followers = self.followers, []
                for follower in followers:
                    follower.on_end()


class Jobs:
    """First come, first served. Events reach followers in the queue's own threads."""

    def __init__(self, workers: Sequence[Worker], estimator: Estimator, device: str = "cpu") -> None:
        self.device, self.estimator = device, estimator
        self._workers = workers
        self._known: dict[Path, Job] = {}  # those that are alive, or failed since the server started
        self._waiting: list[Job] = []
        self._running: dict[Job, Worker] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True, name=f"ar4d-{worker.name}")
            for worker in workers
        ]
        for thread in self._threads:
            thread.start()

    def warm_up(self) -> None:
        """Starts the workers' processes before there is work."""
        for worker in self._workers:
            worker.start()

    def submit(self, folder: Path, attempts: int = 0) -> Job:
        """Queues a new, stopped or failed run.

        Raises:
            UserError: it is whole already, or its folder cannot be read.
        """
        with self._changed:
            known = self._known.get(folder)
            if known is not None and known.alive:
                return known
            job = self._load(folder)
            if job.state == "finished":
                raise UserError("This run is finished already; there is nothing to resume.")
            job.state, job.error = "queued", ""
            change_label(folder, wanted=True, attempts=attempts + 1)
            self._known[folder] = job
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def get(self, folder: Path) -> Job:
        """The job of a run's folder; one that is not alive is read from the disk.

        Raises:
            UserError: the folder cannot be read.
        """
        return self._known.get(folder) or self._load(folder)

    def cancel(self, folder: Path) -> None:
        """Takes a run out of the queue or stops it; what is finished stays. Else it does nothing."""
        with self._changed:
            job = self._known.get(folder)
            if job is None or not job.alive:
                return
            change_label(folder, wanted=False)
            if job in self._waiting:
                self._waiting.remove(job)
                del self._known[folder]
                job.become("stopped")
            elif job in self._running:
                job.progress.say("Stopping …")
                self._running[job].stop()

    def forget(self, folder: Path) -> None:
        """The run is being deleted."""
        self.cancel(folder)
        with self._changed:
            self._known.pop(folder, None)

    def position(self, job: Job) -> int:
        """How many runs are to be begun before it; 0 for the next one and for one at work."""
        with self._changed:
            return self._waiting.index(job) if job in self._waiting else 0

    def seconds_until(self, job: Job) -> float:
        """When a queued run will be begun: what is at work and before it, shared by all workers."""
        with self._changed:
            before = self._waiting[: self.position(job)]
            work = [self.seconds_left(other) for other in [*self._running, *before]]
            free = len(self._workers) - len(self._running)
        return 0.0 if free > len(before) else sum(work) / len(self._workers)

    def seconds_left(self, job: Job) -> float:
        """Of work, until the run is whole."""
        progress = job.progress
        expected = self.estimator.estimate(
            job.settings, progress.num_frames, self.device, progress.frames_done
        ).seconds
        return progress.seconds_left(expected, time.time()) or 0.0

    def restore(self, folders: Sequence[Path]) -> None:
        """Queues what waited or worked when the server ended, in its old order."""
        wanted = [(read_label(folder), folder) for folder in folders]
        for label, folder in sorted((w for w in wanted if w[0].wanted), key=lambda w: w[0].created):
            try:
                if label.attempts >= MAX_ATTEMPTS:
                    change_label(folder, wanted=False)
                    _log.warning("%s was begun %d times in vain and is left alone.", folder, label.attempts)
                else:
                    self.submit(folder, label.attempts)
            except UserError as error:
                change_label(folder, wanted=False)
                _log.warning("%s is not resumed: %s", folder, error)

    def close(self) -> None:
        """Stops the workers; runs that are not whole go on when a server starts again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.close()
        for thread in self._threads:
            thread.join(5)

    # --- the workers' threads -------------------------------------------------------------------

    def _load(self, folder: Path) -> Job:
        run = Run.open(folder)
        states: dict[str, State] = {"finished": "finished", "failed": "failed"}
        state = states.get(run.status, "stopped")
        progress = Progress.read(run)
        error = discreet(run.record.error or "")
        return Job(folder, run.record.recipe.settings, progress, state, error, device=self.device)

    def _serve(self, worker: Worker) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job = self._waiting.pop(0)
                self._running[job] = worker
                job.become("running")
            try:
                self._work(job, worker)
            except Exception:  # noqa: BLE001 (the queue goes on, whatever one run does)
                _log.exception("The run in %s failed", job.folder)
                self._settle(job, "failed", "An error of this program stopped the run; its log says more.")
            finally:
                with self._changed:
                    del self._running[job]

    def _work(self, job: Job, worker: Worker) -> None:
        resumed = job.progress.frames_done > 0
        try:
            lifted: Lifted = drain(worker.run(Lift(job.folder)), job.on)
        except UserError as error:
            return self._settle(job, "failed", str(error))
        except WorkerDied as error:
            if error.asked:
                return self._settle(job, "stopped")
            return self._settle(job, "failed", f"{error} What was finished is kept: press Resume.")
        except TaskFailed as error:
            return self._settle(job, "failed", f"An error of this program stopped the run: {error}.")
        if not lifted.whole:
            return self._settle(job, "stopped")
        if not resumed:
            seconds = {name: stage.seconds for name, stage in job.progress.stages.items() if stage.finished}
            self.estimator.learn(job.settings, job.progress.num_frames, self.device, seconds, lifted.memory)
        self._settle(job, "finished")

    def _settle(self, job: Job, state: State, error: str = "") -> None:
        if self._closed and state != "finished":
            return  # it stays wanted: the next server goes on with it
        job.become(state, discreet(error))
        try:
            change_label(job.folder, wanted=False)
        except UserError as problem:  # the disk is full, or the folder is gone
            _log.warning("The run in %s cannot be labelled: %s", job.folder, problem)
            return
        if state != "failed":  # its folder says the rest; why a worker died, it does not
            self._known.pop(job.folder, None)
