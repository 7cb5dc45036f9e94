"""Health, readiness, metrics, logs, limits and the orderly end of a server."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app import logs, operation
from app.metrics import Metrics
from app.runs.limits import Limits
from app.runs.storage import Storage, read_job_record
from app.service import Service
from ar4d.errors import UserError
from ar4d.events import StageFinished
from ar4d.runs import Run
from tests.support.lifting import make_run, quick_preset, service, slow

ROOT = Path(__file__).parents[2]
HOST_PATIENCE_SECONDS = 30
"""What hosts of containers wait after SIGTERM before they kill. A server that waits for its browsers never
ends; one that ends within its own 10 s needs twice that where the tests share two cores."""


def client(opened: Service) -> TestClient:
    return TestClient(Starlette(routes=operation.routes(opened)))


def samples(text: str) -> dict[tuple[str, ...], float]:
    """The values by name and labels, as Prometheus' own parser reads them."""
    families = text_string_to_metric_families(text)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_server_is_ready_between_start_and_close(tmp_path: Path) -> None:
    with service(tmp_path, started=False) as opened:
        asked = client(opened)
        assert asked.get("/readyz").status_code == 503
        assert "starting" in asked.get("/readyz").json()["reason"]
        opened._started = True
        assert asked.get("/readyz").json() == {"status": "ready"}
        opened.storage.limits = replace(opened.limits, free_gb=1e9)
        assert "disk is full" in asked.get("/readyz").json()["reason"]
        opened.close()
        assert "shutting down" in asked.get("/readyz").json()["reason"]


def test_metrics_count_runs_and_stages_and_name_no_run(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        before = samples(client(opened).get("/metrics").text)
        assert before["ar4d_runs_total", "finished"] == 0
        folder = make_run(opened, quick_preset())
        job = opened.jobs.submit(folder)
        wait_until(lambda: job.state == "finished")
        queued = make_run(opened, slow(quick_preset()))
        second = opened.jobs.submit(queued)
        wait_until(lambda: second.state == "running")
        answer = client(opened).get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        after = samples(answer.text)
        assert after["ar4d_runs_total", "finished"] == 1
        assert after["ar4d_running_runs",] == 1
        assert after["ar4d_queued_runs",] == 0
        assert after["ar4d_stage_seconds_count", "initialize"] == 1
        assert 0 < after["ar4d_stage_seconds_sum", "generate"] < 300
        assert after["ar4d_memory_bytes", "server"] > 10e6
        assert after["ar4d_memory_bytes", "cpu"] > 10e6
        assert folder.name not in answer.text
        opened.jobs.cancel(queued)
        wait_until(lambda: second.state == "stopped")
        assert samples(client(opened).get("/metrics").text)["ar4d_runs_total", "stopped"] == 1


def test_stage_seconds_are_a_histogram() -> None:
    metrics = Metrics()
    for seconds in (0.5, 2.0, 5000.0):
        metrics.on(StageFinished("refine", seconds))
    values = samples(metrics.text().decode())
    assert values["ar4d_stage_seconds_bucket", "1.0", "refine"] == 1
    assert values["ar4d_stage_seconds_bucket", "3600.0", "refine"] == 2
    assert values["ar4d_stage_seconds_count", "refine"] == 3


def wait_until(condition, seconds: float = 300) -> None:  # kernels may have to be compiled first
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_close_lets_a_run_store_its_frame(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        folder = make_run(opened, replace(slow(quick_preset()), refine=quick_preset().refine))
        job = opened.jobs.submit(folder)
        wait_until(lambda: job.progress.frames_done >= 1 and job.progress.step >= 50)
        finished = Run.open(folder).num_finished
        opened.close(grace_seconds=60)
        assert Run.open(folder).num_finished == finished + 1
        assert read_job_record(folder).enqueued  # the next server resumes it


def test_a_hurried_close_does_not_wait(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        settings = slow(quick_preset())
        folder = make_run(opened, replace(settings, generate=replace(settings.generate, iterations=100_000)))
        job = opened.jobs.submit(folder)
        wait_until(lambda: job.progress.frames_done >= 1 and job.progress.step >= 5)
        threading.Timer(0.5, opened.jobs.hurry.set).start()
        start = time.monotonic()
        opened.close(grace_seconds=100)
        assert time.monotonic() < start + 30
        assert read_job_record(folder).enqueued


@contextmanager
def server_process(runs: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "app.py", "--port", "0", "--runs", str(runs)]
    variables = os.environ | {"AR4D_LOG_FORMAT": "json"} | environment
    process = subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def test_sigterm_ends_the_server_with_browsers_connected(tmp_path: Path) -> None:
    with server_process(tmp_path) as process:
        assert process.stdout is not None
        said, _, address = process.stdout.readline().strip().partition(" http://127.0.0.1:")
        assert said == "ar4d:"
        page = f"http://127.0.0.1:{address}"
        with httpx.stream("GET", f"{page}gradio_api/heartbeat/visitor", timeout=60) as stays:
            next(stays.iter_bytes())
            process.send_signal(signal.SIGTERM)
            start = time.monotonic()
            _, errors = process.communicate(timeout=60)
            assert time.monotonic() < start + HOST_PATIENCE_SECONDS
    assert process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    assert "Stops on SIGTERM" in [line["message"] for line in lines]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AR4D_LIMIT_RUNS", "many", "AR4D_LIMIT_RUNS does not fit.*many"),
        ("AR4D_LIMIT_RUNS", "0", "greater than 0"),
        ("AR4D_LIMIT_DISK_GB", "nan", "AR4D_LIMIT_DISK_GB"),
        ("AR4D_LIMIT_SHUTDOWN_SECONDS", "-1", "AR4D_LIMIT_SHUTDOWN_SECONDS"),
        ("AR4D_LIMIT_RUN", "5", "no limit AR4D_LIMIT_RUN; choose from: .*AR4D_LIMIT_UPLOAD_MB"),
    ],
)
def test_a_bad_limit_is_a_sentence(variable: str, value: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Limits.from_environment({variable: value})


def test_limits_come_from_the_environment() -> None:
    limits = Limits.from_environment(
        {"AR4D_LIMIT_RUNS": "5", "AR4D_LIMIT_CLIP_SECONDS": "12.5", "AR4D_RUNS": "x"}
    )
    assert limits == Limits(runs=5, clip_seconds=12.5)
    assert Limits.from_environment({}) == Limits()


def test_log_lines_carry_the_run_and_the_error() -> None:
    formatter = logs.JsonFormatter()
    record = logging.LogRecord("app.x", logging.ERROR, "x.py", 1, 'It said "%s"', ("no",), None)
    with logs.about("run-1"):
        with logs.about(""):
            assert json.loads(formatter.format(record))["run"] == "run-1"
        assert "[run-1]" in logs.TextFormatter().format(record)
    values = json.loads(formatter.format(record))
    assert values["message"] == 'It said "no"'
    assert values["level"] == "error"
    assert values["time"].endswith("+00:00")
    assert "run" not in values
    try:
        raise ValueError("wrong")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert "ValueError: wrong" in json.loads(formatter.format(record))["error"]


def test_an_unknown_log_format_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AR4D_LOG_FORMAT", "xml")
    with pytest.raises(UserError, match='"xml"; choose text or json'):
        logs.configure()


def test_a_folder_that_cannot_be_written_to_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"):
        Storage(tmp_path / "file" / "runs", Limits())
