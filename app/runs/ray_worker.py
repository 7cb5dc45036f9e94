"""Runs on the devices of a Ray cluster, with the methods of a `Worker`."""

from __future__ import annotations

import threading
from collections.abc import Generator

from app.runs.tasks import Lift, LiftResult
from app.runs.worker import WorkerDied
from ar4d.cluster import Cluster, Device, DeviceLost
from ar4d.events import Event


class RayWorker:
    """Works on runs by one device of a cluster; it has no process on this machine."""

    pid: int | None = None

    def __init__(self, name: str, cluster: Cluster) -> None:
        self.name = name
        self._device = Device(cluster.kind == "cuda", cluster.threads(cluster.devices))
        self._busy = threading.Lock()

    def start(self) -> None:
        """Does nothing: the cluster is asked for a device when there is a run."""

    def run(self, task: Lift, seconds: float | None = None) -> Generator[Event, None, LiftResult]:
        """Yields a run's events until it is finished or stopped.

        Raises:
            UserError: the run's own.
            WorkerDied: nodes were lost again and again.
        """
        with self._busy:
            try:
                result = yield from self._device.work(task.folder)
            except DeviceLost as error:
                raise WorkerDied(None, requested=False) from error
            return LiftResult(result.finished, result.memory, result.gpu_memory)

    def stop(self) -> None:
        """Asks the run at work to stop at its next step."""
        self._device.stop()

    def release(self) -> None:
        """Asks the run at work to stop, and does not wait for it."""
        self._device.stop()

    def close(self, seconds: float = 0.0) -> None:
        """Asks the run at work to stop, and gives the device back once it has, or after `seconds`."""
        self.release()
        if self._busy.acquire(timeout=max(0.0, seconds)):
            self._busy.release()
        self._device.end()
