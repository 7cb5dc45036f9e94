"""Measures the application in use: `python -m benchmarks.app [PART …]`, by default all parts.

startup   time from `python app.py` to the page
frames    time from Generate to the first finished frame in the browser, and the delay of each further one
watchers  slow-down of a run while 20 visitors play another, finished one
visitors  memory of an idle visitor of the page

Scrubbing, playing, idle viewers and 200 open/close cycles are in `python -m benchmarks.viewer`. The run is
made by the worker process as usual, with preset `cpu` on 24 frames of an example, and is cancelled when
enough has been measured. On a machine with other load, times are upper bounds; ratios come from windows that
alternate within one run.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import httpx
import psutil

from app.examples import CLIPS
from app.main import EXAMPLE_RUN, Server
from app.runs.queue import Job
from app.viewer import RunViewer
from ar4d.clip import ClipSettings
from ar4d.events import Event, FrameFinished, Step
from ar4d.presets import CPU
from ar4d.runs import Run
from benchmarks.support.browser import chromium, opened
from benchmarks.viewer import FPS, FRAMES, _visitors, feed

TOKEN = "a" * 43
"""The visitor's token."""
CLIP = CLIPS / "robot.mp4"
PRESET = replace(
    CPU,
    initialize=replace(CPU.initialize, expert="silhouette"),
    generate=replace(CPU.generate, expert="silhouette"),
)
"""The preset with named experts, so that the figures do not change with the default expert."""


@contextmanager
def serving() -> Iterator[Server]:
    """The whole application, with an empty folder of runs."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "runs", example=EXAMPLE_RUN)
        try:
            yield server
        finally:
            server.close()


def begin(server: Server) -> tuple[Path, Job]:
    """Cut the clip out and start a run of it, as the page's buttons do."""
    draft = server.service.create_draft(TOKEN, CLIP)
    server.service.cut_out(draft, ClipSettings(num_frames=FRAMES), PRESET.size)
    run = server.service.create_run(TOKEN, draft, PRESET)
    return run, server.service.jobs.get(run)


def wait_until(condition: Callable[[], bool], seconds: float = 900) -> None:
    """Wait until the condition holds.

    Raises:
        TimeoutError: it does not hold after `seconds`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"The condition does not hold after {seconds:g} s.")
        time.sleep(0.05)


def startup() -> None:
    """Measure wall and CPU time until the page answers."""
    with tempfile.TemporaryDirectory() as folder:
        port = "7899"
        command = [sys.executable, "app.py", "--port", port, "--runs", folder]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        watched = psutil.Process(process.pid)
        try:
            while process.poll() is None:
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/", timeout=60).status_code == 200:
                        break
                except httpx.ConnectError:
                    time.sleep(0.05)
            else:
                raise RuntimeError("The server did not start.")
            wall, cpu = time.perf_counter() - start, watched.cpu_times()
            print(f"startup: {wall:.1f} s to the page, {cpu.user + cpu.system:.1f} s of CPU in the server")
        finally:
            process.terminate()
            process.wait(30)


SEEN = """(last) => {
  window.seen = {};
  const look = () => {
    const side = window.ar4d?.splats?.sides?.['/left'];
    const buffer = window.__viserSceneTree?.getState()['/left']?.message.props.buffer;
    if (side?.position !== undefined && buffer?.length > 8) {
      const frame = Math.round(side.position);
      for (let k = 0; k <= frame; k++) window.seen[k] ??= Date.now() / 1000;
    }
    if (window.seen[last] === undefined) setTimeout(look, 10);
  };
  look();
}"""


def frames(further: int = 4) -> None:
    """Measure the delay of frames in a viewer that is open from the start, as on the page."""
    with serving() as server, chromium() as browser:
        draft = server.service.create_draft(TOKEN, CLIP)
        server.service.cut_out(draft, ClipSettings(num_frames=FRAMES), PRESET.size)
        pressed = time.time()
        run = server.service.create_run(TOKEN, draft, PRESET)
        address = server.address.rstrip("/") + server.service.viewer_path(run)
        with opened(browser, address, 640, 480) as page:
            page.evaluate(SEEN, further)
            page.wait_for_function("(k) => window.seen[k] !== undefined", arg=further, timeout=900_000)
            seen = {int(k): at for k, at in page.evaluate("window.seen").items()}
        server.service.jobs.cancel(run)
        events = Run.open(run).events()
        finished = {event.frame_index: event.time for event in events if isinstance(event, FrameFinished)}
    delays = [seen[k] - finished[k] for k in range(1, further + 1)]
    print(
        f"frames: the first is seen {seen[0] - pressed:.1f} s after Generate ({seen[0] - finished[0]:.2f} s "
        f"after it is finished), the next {further} {', '.join(f'{d:.2f}' for d in delays)} s after each is"
    )


def watchers(count: int = 20, rounds: int = 4) -> None:
    """Measure how much visitors who play a run slow another run, for the first loop and later."""
    with serving() as server:
        shown = RunViewer(None)
        feed(shown)
        address = server.address.replace("http", "ws").rstrip("/") + server.viewers.add(shown) + "stream"
        run, job = begin(server)
        steps = _count_steps(job)
        wait_until(lambda: job.progress.frames_done >= 1)
        process, playing, resting, loops = psutil.Process(), [], [], []
        for _ in range(rounds):
            before = _rate(steps, 5)
            cpu, asked = _cpu(process), shown.counts["asked"]
            visitors = multiprocessing.get_context("spawn").Process(
                target=_visitors, args=(address, count), daemon=True
            )
            visitors.start()
            wait_until(lambda asked=asked: shown.counts["asked"] >= asked + count)
            watched = _rate(steps, FRAMES / FPS)
            wait_until(lambda asked=asked: shown.counts["asked"] >= asked + count * (4 * (FRAMES - 1) + 1))
            loops.append(_cpu(process) - cpu)
            later = _rate(steps, 5)
            visitors.terminate()
            visitors.join()
            alone = (before + _rate(steps, 5)) / 2
            playing.append(watched / alone)
            resting.append(later / alone)
            shown.rest()  # empties the cache for the next round
        server.service.jobs.cancel(run)
        print(
            f"watchers: while {count} play a loop for the first time the run keeps {_spread(playing)} of its "
            f"speed (median and range of {rounds}), afterwards {_spread(resting)}; "
            f"their first loop costs the server {median(loops):.1f} s of CPU "
            f"({shown.counts['asked']} buffers asked for, {shown.counts['packed']} packed)"
        )
        shown.close()


def _count_steps(job: Job) -> list[int]:
    """A list whose only number is the count of optimisation steps that the run has reported so far."""
    total = [0]
    last: dict[tuple, int] = {}

    def count(event: Event) -> None:
        if isinstance(event, Step):
            key = event.stage, event.frame_index
            total[0] += event.step - last.get(key, 0)
            last[key] = event.step

    job.follow(lambda: None, count)
    return total


def _rate(steps: list[int], seconds: float) -> float:
    """Steps per second during the next `seconds`."""
    before, start = steps[0], time.perf_counter()
    time.sleep(seconds)
    return (steps[0] - before) / (time.perf_counter() - start)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _spread(ratios: list[float]) -> str:
    """Median and range in percent."""
    return f"{100 * median(ratios):.0f} % ({100 * min(ratios):.0f}–{100 * max(ratios):.0f})"


def visitors(count: int = 40) -> None:
    """Measure the memory of visitors who load the page and stay connected, as a background tab does."""
    with serving() as server:
        config = httpx.get(f"{server.address}config", timeout=60).json()
        (load,) = [d["id"] for d in config["dependencies"] if any(t[1] == "load" for t in d["targets"])]
        process, stay = psutil.Process(), threading.Event()

        def arrive(number: int) -> threading.Thread:
            session = f"idle{os.getpid()}x{number}"
            body = {"data": [None], "fn_index": load, "session_hash": session}
            httpx.post(f"{server.address}gradio_api/queue/join", json=body, timeout=120).raise_for_status()
            with httpx.stream(
                "GET", f"{server.address}gradio_api/queue/data?session_hash={session}", timeout=120
            ) as answer:
                for line in answer.iter_lines():
                    if "process_completed" in line:
                        break
            thread = threading.Thread(target=_stay, args=(server.address, session, stay), daemon=True)
            thread.start()
            return thread

        def resident() -> float:
            gc.collect()
            time.sleep(0.5)
            return process.memory_info().rss / 2**20

        for number in range(5):
            arrive(number)
        before = resident()
        for number in range(count):
            arrive(100 + number)
        print(f"visitors: {(resident() - before) / count:.2f} MB per idle visitor of the page")
        stay.set()


def _stay(address: str, session: str, stay: threading.Event) -> None:
    with httpx.stream("GET", f"{address}gradio_api/heartbeat/{session}", timeout=None) as answer:
        for _ in answer.iter_bytes():
            if stay.is_set():
                return


if __name__ == "__main__":
    parts = {f.__name__: f for f in (startup, frames, watchers, visitors)}
    for name in sys.argv[1:] or parts:
        parts[name]()
