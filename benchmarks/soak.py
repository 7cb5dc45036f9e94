"""Uses a server hard for a while: `python -m benchmarks.soak --minutes 30 --visitors 4`.

Visitors upload, watch, cancel, resume, reload and export while workers and the server are killed and the disk
is filled. Then every frame that was ever finished is checked against what it was, and against the same frame
of an undisturbed run. The server listens on the loopback device alone; the soak is bounded in time and in the
number of requests, and ends its processes itself. Writes a report in Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from ar4d.errors import UserError
from ar4d.runs import Run
from benchmarks.support.ledger import Ledger, Verdict
from benchmarks.support.server_process import ServerProcess
from benchmarks.support.visitors import ALIVE, CLIPS, Notes, Visitor

DISK_MB = 600
FULL_SECONDS = 15.0
LAST_SHARE = 0.85  # of the time; then nothing is killed any more
FINISH_SECONDS = 600.0  # that the runs left get at the end
MOST_MINUTES = 120.0


@dataclass(frozen=True)
class Usage:
    """What the server's process holds."""

    memory: int
    files: int
    threads: int


@dataclass
class Report:
    """All that a soak has found."""

    options: argparse.Namespace
    notes: Notes
    seconds: float = 0.0
    kills: dict[str, int] = field(default_factory=dict)
    before: Usage | None = None
    after: Usage | None = None
    stop_seconds: float = 0.0
    starts: list[float] = field(default_factory=list)
    verdict: Verdict | None = None
    finished: int = 0
    unfinished: list[str] = field(default_factory=list)
    disk: str = ""


def plan(minutes: float, kills: dict[str, int], seed: int = 0) -> list[tuple[float, str]]:
    """When what happens, in seconds: each kind spread over the time, with some chance in it."""
    chance, events = random.Random(seed), []
    for what, count in kills.items():
        step = 60 * minutes * LAST_SHARE / max(count, 1)
        events += [(step * (k + chance.uniform(0.2, 0.9)), what) for k in range(count)]
    return sorted(events)


@contextmanager
def disk() -> Iterator[tuple[Path, str]]:
    """A folder on a small disk of its own where this user may mount one, and a sentence about it."""
    with tempfile.TemporaryDirectory(prefix="ar4d-soak-") as name:
        mounted = shutil.which("mount") is not None and os.geteuid() == 0
        if mounted:
            command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "ar4d-soak", name]
            mounted = subprocess.run(command, capture_output=True).returncode == 0
        try:
            yield (
                Path(name),
                f"a disk of {DISK_MB} MB, filled to its last block" if mounted else "not filled",
            )
        finally:
            if mounted:
                subprocess.run(["umount", "-l", name], capture_output=True)


class Chaos(threading.Thread):
    """Kills workers and the server, and fills the disk, at the planned times."""

    def __init__(self, server: ServerProcess, folder: Path, events: list[tuple[float, str]]) -> None:
        super().__init__(daemon=True, name="chaos")
        self.done: dict[str, int] = {}
        self.stop = threading.Event()
        self._server, self._folder, self._events = server, folder, events
        self._random = random.Random(0)

    def run(self) -> None:
        """Does what is planned, in its order."""
        begin = time.monotonic()
        for at, what in self._events:
            if self.stop.wait(max(0.0, at - (time.monotonic() - begin))):
                return
            if getattr(self, f"_{what}")():
                self.done[what] = self.done.get(what, 0) + 1

    def _worker(self) -> bool:
        """Kills one of the server's worker processes."""
        try:
            workers = self._server.workers()
            if workers:
                self._random.choice(workers).kill()
            return bool(workers)
        except psutil.NoSuchProcess:
            return False

    def _server_kill(self) -> bool:
        self._server.kill()
        time.sleep(1)
        self._server.start()
        return True

    def _disk(self) -> bool:
        """Fills the disk for a while."""
        ballast = self._folder / "ballast"
        try:
            with open(ballast, "wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 20))
        except OSError:
            self.stop.wait(FULL_SECONDS)
        finally:
            ballast.unlink(missing_ok=True)
        return True


def usage(process: psutil.Process) -> Usage:
    """What a process holds now."""
    return Usage(process.memory_info().rss, process.num_fds(), process.num_threads())


def soak(options: argparse.Namespace, folder: Path, can_fill: bool, log: Path) -> Report:
    """Runs a soak in a folder."""
    notes = Notes()
    report = Report(options, notes)
    runs, clips = folder / "runs", folder / "clips"
    clips.mkdir()
    server = ServerProcess(
        runs, log, AR4D_LIMIT_RUNS="1000", AR4D_LIMIT_DISK_GB="50", AR4D_LIMIT_FREE_GB="0.02"
    )
    visitors: list[Visitor] = []
    visitors += [Visitor(k, server.address, clips, notes, visitors) for k in range(options.visitors)]
    first = Visitor(99, server.address, clips, notes, visitors)
    ledger = Ledger(runs)
    try:
        server.start()
        references = undisturbed(first, runs)
        report.before = settled(server)
        kills = {"worker": options.worker_kills, "server_kill": options.server_kills}
        chaos = Chaos(server, folder, plan(options.minutes, kills | {"disk": options.fills * can_fill}))
        begin = time.monotonic()
        for thread in (*visitors, chaos):
            thread.start()
        while time.monotonic() < begin + 60 * options.minutes:
            ledger.look()
            time.sleep(0.5)
        for thread in (*visitors, chaos):
            thread.stop.set()
        for thread in (*visitors, chaos):
            thread.join(120)
        report.seconds = time.monotonic() - begin
        report.unfinished = finish(visitors, ledger)
        report.after = settled(server)
        report.kills, report.starts = chaos.done, server.starts
    finally:
        report.stop_seconds = server.stop()
    report.verdict = ledger.check(references)
    report.finished = count_finished(runs, notes)
    return report


def undisturbed(visitor: Visitor, runs: Path) -> dict[str, Path]:
    """A run of each clip before anything is disturbed, by the clip's name."""
    references = {}
    for seed in range(CLIPS):
        name = f"disk-{seed}.gif"
        run = visitor.begin(name, visitor._clips[seed])
        wait_for(visitor, [run], FINISH_SECONDS)
        visitor.attempt(visitor.export)
        (references[name],) = runs.glob(f"*/{run}")
    return references


def wait_for(visitor: Visitor, ids: list[str], seconds: float) -> list[str]:
    """Resumes a visitor's runs and waits until they are finished; returns those that are not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        visitor.attempt(visitor.reload)
        left = [visitor.runs[id] for id in ids if visitor.runs[id].state != "finished"]
        if not left:
            return []
        if not any(run.state in ALIVE for run in left):
            visitor.attempt(partial(visitor.api.call, "resume", left[0].id, visitor.token))
        time.sleep(0.5)
    return [f"{run.id} is {run.state}." for run in left]


def finish(visitors: list[Visitor], ledger: Ledger) -> list[str]:
    """Has all runs finished that were stopped on the way."""
    left = []
    for visitor in visitors:
        visitor.api = type(visitor.api)(visitor.api.address)
        left += wait_for(visitor, list(visitor.runs), FINISH_SECONDS / len(visitors))
        visitor.api.close()
        ledger.look()
    return left


def settled(server: ServerProcess) -> Usage:
    """What the server holds some seconds after its last request."""
    time.sleep(8)
    return usage(server.process)


def count_finished(runs: Path, notes: Notes) -> int:
    """How many finished runs have a result that can be read; others are noted."""
    count = 0
    for record in runs.glob("*/*/run.json"):
        try:
            run = Run.open(record.parent)
            if run.status == "finished":
                run.result()
                count += 1
        except UserError as error:
            notes.problems.append(str(error))
    return count


def markdown(report: Report) -> str:
    """The report."""
    options, notes, verdict = report.options, report.notes, report.verdict
    assert verdict is not None
    load = os.getloadavg()[1]
    rows = [
        ("duration", f"{report.seconds / 60:.1f} minutes"),
        ("visitors at once", f"{options.visitors}"),
        ("worker kills (SIGKILL)", f"{report.kills.get('worker', 0)} of {options.worker_kills} planned"),
        ("server kills (SIGKILL)", f"{report.kills.get('server_kill', 0)} of {options.server_kills} planned"),
        ("disk", f"{report.disk}, {report.kills.get('disk', 0)} times for {FULL_SECONDS:.0f} s"),
        ("runs with finished frames", f"{verdict.runs}, {report.finished} of them finished in the end"),
        ("finished frames", f"{verdict.frames}"),
        ("**frames lost or changed**", f"**{len(verdict.lost)}**"),
        ("frames that differ from an undisturbed run", f"{len(verdict.different)}"),
        ("**foreign runs seen**", f"**{notes.foreign_seen}** of {notes.foreign_tries} tries"),
        ("answers that were no sentence, other problems", f"{len(notes.problems)}"),
        ("runs that could not be finished", f"{len(report.unfinished)}"),
        *_usage_rows(report),
        ("SIGTERM to the end", f"{report.stop_seconds:.1f} s"),
        ("starts, to the first answer", ", ".join(f"{seconds:.1f}" for seconds in report.starts) + " s"),
    ]
    lines = [
        "# Soak",
        "",
        f"`python -m benchmarks.soak {' '.join(sys.argv[1:])}` on {os.cpu_count()} cores "
        f"({platform.machine()}), load average {load:.1f} at the end, other work of the machine included.",
        "",
        "| what | measured |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        "What the visitors did: "
        + ", ".join(f"{name} {count}" for name, count in sorted(notes.done.items()))
        + ".",
        "",
        "What the server answered when it refused (N: a number):",
        "",
        *(f"- {count} × {text}" for text, count in notes.sentences.most_common(30)),
    ]
    found = [*verdict.lost, *verdict.different, *notes.problems, *report.unfinished]
    if found:
        lines += ["", "What was found:", "", *(f"- {text}" for text in found[:40])]
    return "\n".join(lines) + "\n"


def _usage_rows(report: Report) -> list[tuple[str, str]]:
    before, after = report.before, report.after
    if before is None or after is None:
        return []
    growth = 100 * (after.memory / before.memory - 1)
    return [
        (
            "memory of the server, idle, before and after",
            f"{before.memory / 1e6:.0f} and {after.memory / 1e6:.0f} MB ({growth:+.0f} %)",
        ),
        ("open files, before and after", f"{before.files} and {after.files}"),
        ("threads, before and after", f"{before.threads} and {after.threads}"),
    ]


def main() -> int:
    """Runs a soak and writes its report; returns 1 if it found anything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--visitors", type=int, default=4)
    parser.add_argument("--worker-kills", type=int, default=20)
    parser.add_argument("--server-kills", type=int, default=5)
    parser.add_argument("--fills", type=int, default=2, help="how often the disk is filled")
    parser.add_argument("--out", type=Path, help="file of the report")
    options = parser.parse_args()
    options.minutes = min(options.minutes, MOST_MINUTES)
    log = Path(tempfile.gettempdir()) / "ar4d-soak.log"
    with disk() as (folder, about):
        report = soak(options, folder, about != "not filled", log)
    report.disk = about
    text = markdown(report)
    print(text)
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")
    assert report.verdict is not None
    return int(bool(report.verdict.lost or report.verdict.different or report.notes.problems))


if __name__ == "__main__":
    sys.exit(main())
