"""Downloads as events: what an expert needs of the hub is fetched before it is built."""

from __future__ import annotations

import time
from collections.abc import Generator

from ar4d.events import Event, Progress
from ar4d.experts.registry import Entry
from ar4d.reporting import Report, reporting
from ar4d.weights.hub import fetch
from ar4d.weights.release import Release, locate

SECONDS = 0.25  # between two events


def prepare(entry: Entry) -> Generator[Event, None, None]:
    """Fetches what an expert lacks, if it lacks anything.

    Raises:
        UserError: the hub does not give it.
    """
    for release in entry.releases:
        if locate(release) is None:
            yield from _fetched(release)


def _fetched(release: Release) -> Generator[Event, None, None]:
    def work(report: Report) -> None:
        reported = 0.0

        def on_bytes(name: str, done: int, total: int) -> None:
            nonlocal reported
            if done == total or time.monotonic() > reported + SECONDS:
                reported = time.monotonic()
                report(Progress(f"downloading {name}", done, total, "bytes"))

        fetch(release, on_bytes=on_bytes)

    yield from reporting(work)
