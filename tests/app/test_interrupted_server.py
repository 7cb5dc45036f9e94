"""A server that is stopped or killed in mid-run: the next one goes on by itself, to the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from websockets.sync.client import connect

from ar4d.runs import Run
from tests.support.lifting import disk_video

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "size": 64,
    "initialize.expert": "silhouette",
    "generate.expert": "silhouette",
    "initialize.gaussians": 400,
    "generate.iterations": 150,
    "refine.enabled": False,
}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@contextmanager
def serving(runs: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python app.py` and its address."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", "0", "--runs", str(runs)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().removeprefix("ar4d: ").strip()
    finally:
        process.kill()
        process.wait(30)


def asked(client: Client, run: dict) -> dict:
    return client.predict(run["run"], run["token"], api_name="/status")


def until(client: Client, run: dict, frames: int) -> dict:
    """Waits until a run has so many finished frames, or has ended."""
    end = time.monotonic() + 200
    while (status := asked(client, run))["frames_done"] < frames and status["state"] != "failed":
        assert time.monotonic() < end, status
        time.sleep(0.05)
    return status


def test_an_interrupted_run_goes_on_without_a_click_to_the_same_bits(tmp_path: Path) -> None:
    """First SIGTERM with browsers connected, which is bounded in time; then SIGKILL."""
    runs, clip = tmp_path / "runs", disk_video(tmp_path)
    with serving(runs) as (process, address):
        client = Client(address, verbose=False)
        lift = handle_file(clip), {"num_frames": 5}, "cpu"
        whole = client.predict(*lift, SETTINGS, api_name="/lift")
        until(client, whole, 5)
        broken = client.predict(*lift, SETTINGS, whole["token"], api_name="/lift")
        status = until(client, broken, 1)
        viewer = f"{address.replace('http', 'ws').rstrip('/')}{status['viewer']}stream"
        with ExitStack() as stack:
            stack.enter_context(httpx.stream("GET", f"{address}gradio_api/heartbeat/a", timeout=60))
            stack.enter_context(connect(viewer)).recv(timeout=60)
            process.send_signal(signal.SIGTERM)
            start = time.monotonic()
            assert process.wait(60) == 0
            assert time.monotonic() < start + 10 + 5  # 5 for a busy machine
    (folder,) = runs.glob(f"*/{broken['run']}")
    after_sigterm = Run.open(folder).num_finished
    assert 1 <= after_sigterm < 5
    with serving(runs) as (process, address):
        client = Client(address, verbose=False)
        status = until(client, broken, after_sigterm + 1)
        process.kill()
        process.wait(30)
    written = {k: Run.open(folder).frame_path(k).stat().st_mtime_ns for k in Run.open(folder).finished}
    assert after_sigterm < len(written) < 5
    with serving(runs) as (_, address):
        client = Client(address, verbose=False)
        assert until(client, broken, 5)["frames_done"] == 5
        while asked(client, broken)["state"] != "finished":
            time.sleep(0.05)
    (other,) = runs.glob(f"*/{whole['run']}")
    one, two = Run.open(folder), Run.open(other)
    for k, stamp in written.items():
        assert one.frame_path(k).stat().st_mtime_ns == stamp  # it was not made again
    for k in range(5):
        assert one.frame_path(k).read_bytes() == two.frame_path(k).read_bytes()
    assert one.asset_path.read_bytes() == two.asset_path.read_bytes()
    assert json.loads((folder / "job.json").read_text())["enqueued"] is False
