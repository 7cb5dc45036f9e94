"""One device of the cluster, seen from here: where it is, and what becomes of it, is Ray's business."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ar4d.cluster.folder import Watched, write
from ar4d.cluster.lifter import Lifter
from ar4d.errors import UserError
from ar4d.events import Event, from_json
from ar4d.runs import Run

LOST = 3  # times that a device may be lost in a row, without a new frame, before the run is given up


class DeviceLost(UserError):
    """Nodes were lost again and again."""


@dataclass(frozen=True)
class Result:
    """The outcome of working on a run."""

    finished: bool
    memory: int = 0
    """Peak memory of the actor's process, bytes."""
    gpu_memory: int = 0
    """Peak memory on its GPU, bytes."""


class Device:
    """A device of the cluster for one run at a time: an actor, which Ray places and which ends with the run.

    Between two runs it holds nothing, so that a run whose node was lost finds room on another one.
    """

    def __init__(self, gpu: bool, threads: int) -> None:
        """
        Args:
            gpu: whether it needs a GPU of its own.
            threads: of its process; the results are those of `ar4d lift` with as many (OMP_NUM_THREADS).
        """
        self._gpu, self._threads = gpu, threads
        self._actor: Any = None
        self._ended = False

    def _make_actor(self) -> Any:
        """An actor, for which Ray finds a node as soon as one has room."""
        import ray

        variables = {"OMP_NUM_THREADS": str(self._threads)}
        if not self._gpu:
            variables["CUDA_VISIBLE_DEVICES"] = ""
        return (
            ray.remote(Lifter)
            .options(
                num_cpus=self._threads,
                num_gpus=int(self._gpu),
                max_concurrency=2,  # so that it can be stopped while it works
                runtime_env={"env_vars": variables},
            )
            .remote()
        )

    def work(self, folder: Path) -> Generator[Event, None, Result]:
        """Works on a run, whose folder here grows with it; yields the events.

        A run whose node is lost goes on elsewhere from its last whole frame.

        Raises:
            UserError: the run's own, or another process works on it.
            DeviceLost: its nodes were lost again and again.
        """
        from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError, WorkerCrashedError

        losses, finished = 0, -1
        try:
            with FileLock(folder / ".lock", timeout=0):
                while True:
                    before = Run.open(folder).num_finished
                    losses = losses if before == finished else 0
                    finished = before
                    try:
                        return (yield from self._once(folder))
                    except (RayActorError, NodeDiedError, ObjectLostError, WorkerCrashedError) as error:
                        losses += 1
                        if self._ended or losses >= LOST:
                            raise DeviceLost(
                                f"The nodes that worked on this were lost {LOST} times in a row."
                            ) from error
        except Timeout as error:
            raise UserError(f"Another process is working on {folder}; wait for it or stop it.") from error

    def _once(self, folder: Path) -> Generator[Event, None, Result]:
        import ray
        from ray.exceptions import RayTaskError

        self._actor = self._make_actor()
        try:
            messages = self._actor.work.options(num_returns="streaming").remote(Watched(folder).changes())
            for message in messages:
                kind, value = ray.get(message)
                match kind:
                    case "files":
                        write(folder, value)
                    case "event":
                        yield from_json(value)
                    case "user_error":
                        raise UserError(value)
                    case _:
                        return Result(*value)
        except RayTaskError as error:
            problem = str(error).strip().splitlines()[-1]
            raise UserError(f"An error in this program on a node: {problem}") from error
        finally:
            self._give_back()
        raise UserError("A node ended its work without a result; see the cluster's logs.")

    def stop(self) -> None:
        """Asks the run at work to stop at its next step."""
        if self._actor is not None:
            self._actor.stop.remote()

    def end(self) -> None:
        """Gives the device back to the cluster for good, also in the middle of a run."""
        self._ended = True
        self._give_back()

    def _give_back(self) -> None:
        import ray

        if self._actor is not None:
            ray.kill(self._actor)
            self._actor = None
