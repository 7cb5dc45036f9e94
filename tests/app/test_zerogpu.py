"""Runs on ZeroGPU, with a real fork and real pickling: several calls, lost calls, no GPU, a cancelled run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from gradio.context import LocalContext

from app.runs import zerogpu
from app.runs.queue import Job
from app.runs.zerogpu import MARGIN, MOST_SECONDS, START_SECONDS, ZeroGpuWorker, plan_call
from app.service import Service
from ar4d.runs import Run
from tests.support.fake_spaces import FakeSpaces, installed
from tests.support.lifting import make_run, quick_preset, service

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> FakeSpaces:
    return installed(monkeypatch)


@pytest.fixture
def zero(spaces: FakeSpaces, tmp_path: Path) -> Iterator[Service]:
    """A server on ZeroGPU. Threads that it has started are there when it forks."""
    torch.set_num_threads(2)
    torch.matmul(torch.rand(300, 300), torch.rand(300, 300))  # OpenMP's threads
    torch.set_num_threads(1)
    zerogpu.prepare()
    with service(tmp_path, started=False) as opened:
        yield opened


def wait(job: Job, *states: str) -> None:
    end = time.monotonic() + 200
    while job.state not in states:
        assert time.monotonic() < end, (job.state, job.error, job.progress.log[-3:])
        time.sleep(0.02)


@pytest.fixture
def whole(tmp_path: Path, zero: Service) -> Run:
    """The same run, worked on at once and without ZeroGPU."""
    run = Run.open(make_run(zero, quick_preset()))
    for _ in run.work():
        pass
    return run


def same(run: Path, whole: Run) -> bool:
    made = Run.open(run)
    files = [(made.frame_path(k), whole.frame_path(k)) for k in range(4)]
    files.append((made.asset_path, whole.asset_path))
    return all(one.read_bytes() == two.read_bytes() for one, two in files)


def test_a_run_goes_on_over_calls_to_the_same_bits(
    zero: Service, spaces: FakeSpaces, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [type(worker) for worker in zero.jobs.workers] == [ZeroGpuWorker] * 2
    monkeypatch.setattr(zerogpu, "MOST_SECONDS", 0.0)
    monkeypatch.setattr(zerogpu, "START_SECONDS", 0.0)
    request = SimpleNamespace(headers={"x-ip-token": "of the visitor"})
    mark = LocalContext.request.set(request)  # type: ignore[arg-type]
    run = make_run(zero, quick_preset())
    job = zero.jobs.submit(run)
    LocalContext.request.reset(mark)
    wait(job, "finished", "failed")
    assert job.state == "finished", job.error
    assert same(run, whole)
    assert len(spaces.durations) >= 3
    assert spaces.requests == [request] * len(spaces.durations)  # who pressed the button is charged
    assert all(type(part) is str for call in spaces.values for value in call for part in value)
    assert job.progress.frames_done == 4
    assert not torch.cuda.is_initialized()
    assert not (run / zerogpu.STOP).exists()


def test_a_lost_call_costs_the_frame_at_work(zero: Service, spaces: FakeSpaces, whole: Run) -> None:
    run = make_run(zero, quick_preset())
    second = Run.open(run).frame_path(1)
    spaces.lose = lambda call, value: call == 0 and second.exists()
    job = zero.jobs.submit(run)
    wait(job, "finished", "failed")
    assert job.state == "finished", job.error
    assert len(spaces.durations) == 2
    assert same(run, whole)


def test_calls_that_are_lost_again_and_again_are_given_up(zero: Service, spaces: FakeSpaces) -> None:
    spaces.lose = lambda call, value: True
    job = zero.jobs.submit(make_run(zero, quick_preset()))
    wait(job, "failed")
    assert len(spaces.durations) == zerogpu.LOST_CALLS
    assert spaces.durations[-1] > spaces.durations[0]  # it asked for more time
    assert "Resume" in job.error


def test_no_gpu_is_a_sentence(zero: Service, spaces: FakeSpaces) -> None:
    spaces.refuse = gr.Error("You have exceeded your quota. Try again in 1:00:00.", title="ZeroGPU quota")
    job = zero.jobs.submit(make_run(zero, quick_preset()))
    wait(job, "failed")
    assert job.error == (
        "The Space got no GPU: You have exceeded your quota. Try again in 1:00:00. Press Resume later."
    )


def test_impossible_settings_are_a_sentence_over_the_border(zero: Service, spaces: FakeSpaces) -> None:
    run = make_run(zero, quick_preset())
    (run / "frames").symlink_to("nowhere")  # not writable
    job = zero.jobs.submit(run)
    wait(job, "failed")
    assert "cannot be written to" in job.error


def test_a_cancelled_run_keeps_its_frames(zero: Service, spaces: FakeSpaces) -> None:
    run = make_run(zero, quick_preset(300))
    job = zero.jobs.submit(run)
    while job.progress.frames_done < 1:
        time.sleep(0.02)
    zero.jobs.cancel(run)
    wait(job, "stopped")
    assert Run.open(run).num_finished >= 1
    assert Run.open(run).status == "stopped"


def test_a_call_asks_for_what_is_left_within_bounds() -> None:
    pieces = {"initialize": 4.0, "generate": 2.0, "refine": 30.0}
    short = plan_call({"initialize": 0.0, "generate": 4.0, "refine": 0.0}, pieces)
    assert short.seconds == START_SECONDS + MARGIN * 4
    assert short.pieces["generate"] == MARGIN * 2
    long = plan_call({"initialize": 4.0, "generate": 400.0, "refine": 30.0}, pieces)
    assert long.seconds == MOST_SECONDS
    stage = plan_call({"initialize": 0.0, "generate": 0.0, "refine": 300.0}, pieces | {"refine": 300.0})
    assert stage.seconds == START_SECONDS + MARGIN * 300  # it cannot be interrupted
    again = plan_call({"initialize": 0.0, "generate": 4.0, "refine": 0.0}, pieces, lost=1)
    assert again.seconds == 2 * (START_SECONDS + MARGIN * 4)
