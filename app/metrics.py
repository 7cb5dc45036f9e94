"""Measurements for Prometheus. They name no visitor, run or file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ar4d.events import Event, StageFinished

if TYPE_CHECKING:
    from app.service import Service

STAGE_BUCKETS = (1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600)  # seconds


class Metrics:
    """Counters of what has happened since the server started."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._runs = Counter(
            "ar4d_runs", "Runs whose work ended, by outcome.", ["outcome"], registry=self.registry
        )
        for outcome in ("finished", "stopped", "failed"):
            self._runs.labels(outcome)  # shown as 0 from the start
        self._seconds = Histogram(
            "ar4d_stage_seconds",
            "Duration of each finished stage.",
            ["stage"],
            buckets=STAGE_BUCKETS,
            registry=self.registry,
        )

    def on(self, event: Event) -> None:
        """Takes an event of a run."""
        if isinstance(event, StageFinished):
            self._seconds.labels(event.stage).observe(event.seconds)

    def end(self, outcome: str) -> None:
        """Counts a run whose work ended."""
        self._runs.labels(outcome).inc()

    def watch(self, service: Service) -> None:
        """Adds what is read from the service whenever the metrics are asked for."""
        self.registry.register(cast("Collector", _Gauges(service)))

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _Gauges(Collector):
    """What the server holds at this moment."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        service = self._service
        queued, running = service.jobs.counts()
        yield _gauge("ar4d_queued_runs", "Runs that wait for a worker.", queued)
        yield _gauge("ar4d_running_runs", "Runs at work.", running)
        yield _gauge("ar4d_workers", "Devices that work on runs.", len(service.jobs.workers))
        yield _gauge("ar4d_viewers", "Open viewers.", len(service.viewers))
        connections = service.viewers.connections()
        yield _gauge("ar4d_viewer_connections", "Connections to viewers.", connections)
        free = psutil.disk_usage(str(service.storage.root)).free
        yield _gauge("ar4d_disk_free_bytes", "Free space of the disk that holds the runs.", free)
        memory = GaugeMetricFamily(
            "ar4d_memory_bytes", "Resident memory of each process.", labels=["process"]
        )
        files = GaugeMetricFamily("ar4d_open_files", "Open files of each process.", labels=["process"])
        for name, pid in service.processes().items():
            resident, opened = _usage(pid)
            memory.add_metric([name], resident)
            files.add_metric([name], opened)
        yield memory
        yield files


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value)


def _usage(pid: int) -> tuple[int, int]:
    """Resident bytes and open files of a process; zeros if it has just ended."""
    try:
        process = psutil.Process(pid)
        return process.memory_info().rss, len(list(Path(f"/proc/{pid}/fd").glob("*")))
    except (psutil.NoSuchProcess, OSError):
        return 0, 0
