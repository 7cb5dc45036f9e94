"""A batch on the devices of a Ray cluster."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ar4d.cli import lift
from ar4d.cli.batch_clips import BatchClip
from ar4d.cli.batch_work import Batch, Outcome, require_same
from ar4d.cluster import Cluster, Device
from ar4d.events import drain


class RayBatch(Batch):
    """Lifts clips on a cluster. Clips are cut out here, one after another; all else is done there."""

    def __init__(self, out: Path, devices: Sequence[Device]) -> None:
        """
        Args:
            out: folder of the runs and the report.
            devices: of the cluster; as many clips are lifted at a time.
        """
        super().__init__(out, devices)
        self._devices = devices
        self._cutting = threading.Lock()

    def _attempt(self, clip: BatchClip, place: Any) -> tuple[Outcome, str]:
        folder = self.out / clip.name
        if self._stopped.is_set():
            return "stopped", "The batch was stopped."
        if (folder / "run.json").exists():
            if require_same(folder, clip).status == "finished":
                return "finished before", ""
        else:
            with self._cutting:
                lift.create(lift.parse([str(clip.path), "--out", str(folder), *clip.options], quiet=True))
        result = drain(place.work(folder))
        if result.finished:
            return "finished", ""
        return "stopped", "The batch was stopped."

    def _stop(self) -> None:
        self._stopped.set()
        for device in self._devices:
            device.stop()

    def close(self) -> None:
        """Gives the devices back."""
        for device in self._devices:
            device.end()


def devices(cluster: Cluster, workers: int | None, threads: int | None) -> list[Device]:
    """As many devices of a cluster as are asked for, by default all."""
    count = workers or cluster.devices
    return [Device(cluster.kind == "cuda", threads or cluster.threads(count)) for _ in range(count)]
