"""The queue with real worker processes: order, cancel, resume, death, restart; and access to runs."""

from __future__ import annotations

import errno
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.runs.estimates import Estimator, nominal_seconds
from app.runs.limits import Limits
from app.runs.progress import Progress
from app.runs.queue import Job
from app.runs.storage import (
    SETTLED_SECONDS,
    Storage,
    new_token,
    read_job_record,
    strip_server_paths,
    update_job_record,
)
from app.service import Service
from ar4d.errors import UserError
from ar4d.events import (
    Event,
    Finished,
    FrameFinished,
)
from ar4d.presets import CPU, PAPER, STAR, STAR_REFINED
from ar4d.runs import Run
from tests.support.lifting import TOKEN, disk_video, make_run, quick_preset, service, slow

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def wait(job: Job, state: str, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while job.state != state:
        assert time.monotonic() < end, (job.state, job.error, job.progress.log[-3:])
        time.sleep(0.02)


def wait_for_frames(job: Job, count: int, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while job.progress.frames_done < count:
        assert job.alive, (job.state, job.error)
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory):
    """One service, shared by the tests that leave it unchanged."""
    with service(tmp_path_factory.mktemp("runs")) as opened:
        yield opened


def test_runs_are_worked_on_in_order_and_have_followers(busy: Service) -> None:
    first, second = make_run(busy, quick_preset()), make_run(busy, quick_preset())
    one, two = busy.jobs.submit(first), busy.jobs.submit(second)
    followed: list[list[Event]] = [[], []]
    for seen in followed:
        two.follow(lambda: None, seen.append)
    wait(one, "running")
    assert two.state == "queued"
    assert busy.jobs.position(two) == 0
    assert busy.jobs.seconds_until(two) > 0
    wait(one, "finished")
    wait(two, "finished")
    assert followed[0] == followed[1]
    assert [e.frame_index for e in followed[0] if isinstance(e, FrameFinished)] == [0, 1, 2, 3]
    assert isinstance(followed[0][-1], Finished)
    assert Run.open(second).asset().num_frames == 4
    assert not read_job_record(second).enqueued
    with pytest.raises(UserError, match="is finished; there is nothing"):
        busy.jobs.submit(second)


def test_a_cancelled_run_keeps_its_frames_and_resumes_to_the_same_result(busy: Service) -> None:
    settings = replace(quick_preset(120), refine=replace(quick_preset().refine, enabled=False))
    whole, broken = make_run(busy, settings), make_run(busy, settings)
    wait(busy.jobs.submit(whole), "finished")
    job = busy.jobs.submit(broken)
    wait_for_frames(job, 2)
    busy.jobs.cancel(broken)
    wait(job, "stopped")
    kept = Run.open(broken).num_finished
    assert 2 <= kept < 4
    assert not read_job_record(broken).enqueued
    viewer = busy.viewers.get(busy.viewer_path(broken).split("/")[2])
    assert viewer is not None
    assert viewer.state()["progress"] is None
    resumed = busy.resume(TOKEN, broken)
    assert resumed.progress.frames_done == kept  # known before it starts
    wait(resumed, "finished")
    assert viewer.state()["framesDone"] == 4  # the viewer that was open follows the resumed run
    assert viewer.state()["progress"] is None
    for a, b in zip(Run.open(whole).frames(), Run.open(broken).frames(), strict=True):
        assert a.means.equal(b.means)


def test_a_queued_run_can_be_cancelled(busy: Service) -> None:
    working, queued = make_run(busy, slow(quick_preset())), make_run(busy, quick_preset())
    one, two = busy.jobs.submit(working), busy.jobs.submit(queued)
    wait(one, "running")
    busy.jobs.cancel(queued)
    assert two.state == "stopped"
    assert one.state == "running"
    busy.jobs.cancel(working)
    wait(one, "stopped")


def test_a_dead_worker_fails_its_run_only(busy: Service) -> None:
    killed, next_one = make_run(busy, slow(quick_preset())), make_run(busy, quick_preset())
    job, other = busy.jobs.submit(killed), busy.jobs.submit(next_one)
    wait_for_frames(job, 1)
    (worker,) = busy.jobs.workers
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    wait(job, "failed")
    assert "killed" in job.error
    assert "Resume" in job.error
    wait(other, "finished")  # by a new process
    resumed = busy.resume(TOKEN, killed)
    assert resumed.progress.frames_done >= 1
    busy.jobs.cancel(killed)
    wait(resumed, "stopped")


def test_impossible_settings_fail_with_one_sentence(busy: Service) -> None:
    settings = quick_preset()
    bad = make_run(busy, replace(settings, initialize=replace(settings.initialize, expert="nobody")))
    job = busy.jobs.submit(bad)
    wait(job, "failed")
    assert "nobody" in job.error
    assert job.error.count("\n") == 0


def test_rerun_takes_over_frames(busy: Service) -> None:
    run = make_run(busy, quick_preset())
    wait(busy.jobs.submit(run), "finished")
    old = Run.open(run)
    again = busy.rerun(TOKEN, run, replace(quick_preset(), seed=5), 2)
    job = busy.jobs.get(again)
    assert job.progress.psnr.keys() == {0, 1}
    wait(job, "finished")
    new = Run.open(again)
    assert new.frames()[1].means.equal(old.frames()[1].means)
    assert not new.frames()[2].means.equal(old.frames()[2].means)
    refined = busy.rerun(TOKEN, run, quick_preset(), 4)
    wait(busy.jobs.get(refined), "finished")
    assert Run.open(refined).record.seconds.keys() <= {"generate", "refine"}
    assert Run.open(refined).frames()[3].means.equal(old.frames()[3].means)
    with pytest.raises(UserError, match="Only 4 frames"):
        busy.rerun(TOKEN, run, quick_preset(), 9)


def test_a_new_server_resumes_the_runs_of_an_old_one(tmp_path: Path) -> None:
    with service(tmp_path, started=False) as old:
        working, queued = make_run(old, slow(quick_preset())), make_run(old, quick_preset())
        job = old.jobs.submit(working)
        old.jobs.submit(queued)
        wait_for_frames(job, 1)
    assert Run.open(working).status == "stopped"
    assert read_job_record(working).enqueued
    assert read_job_record(queued).enqueued
    run = Run.open(working)
    kept = run.num_finished
    with service(tmp_path, started=False) as new:
        new.jobs.restore(list(new.storage.all_runs()))
        one, two = new.jobs.get(working), new.jobs.get(queued)
        assert one.alive
        assert two.state == "queued"
        assert one.progress.frames_done >= kept
        new.jobs.cancel(working)
        wait(one, "stopped")
        wait(two, "finished")
    update_job_record(working, enqueued=True, attempts=3)
    with service(tmp_path, started=False) as third:  # its starts have failed three times
        third.jobs.restore(list(third.storage.all_runs()))
        assert not third.jobs.get(working).alive


def test_a_full_disk_stops_the_run_with_a_sentence(busy: Service) -> None:
    run = make_run(busy, quick_preset())
    (run / "frames").symlink_to("nowhere")  # not writable, even for root
    job = busy.jobs.submit(run)
    wait(job, "failed")
    assert "cannot be written to" in job.error
    (run / "frames").unlink()
    wait(busy.resume(TOKEN, run), "finished")


def test_a_visitor_cannot_find_the_runs_of_another(busy: Service) -> None:
    run = make_run(busy, quick_preset())
    stranger = new_token()
    assert busy.storage.run(TOKEN, run.name) == run
    foreign = f"../{run.parent.name}/{run.name}"
    for token, name in (
        (stranger, run.name),
        (stranger, foreign),
        (TOKEN, "A" * 22),
        (TOKEN, ".."),
        (TOKEN, ""),
    ):
        with pytest.raises(UserError, match="no such run"):
            busy.storage.run(token, name)
    for token in ("", "short", "../" * 12, "a" * 200):
        with pytest.raises(UserError, match="token"):
            busy.storage.run(token, run.name)
    assert busy.storage.runs(stranger) == []


def test_a_visitor_may_queue_a_limited_number_of_runs(tmp_path: Path) -> None:
    with service(tmp_path, Limits(waiting=2), started=False) as opened:
        runs = [make_run(opened, quick_preset()) for _ in range(2)]
        for run in runs:
            update_job_record(run, enqueued=True)
        with pytest.raises(UserError, match="2 of your runs"):
            opened.storage.require_turn(TOKEN)
        opened.storage.require_turn(new_token())


def test_clean_up_deletes_the_oldest_but_nothing_pinned_or_enqueued(tmp_path: Path) -> None:
    with service(tmp_path, Limits(runs=3), started=False) as opened:
        runs = [make_run(opened, quick_preset()) for _ in range(6)]
        for age, run in enumerate(runs):
            update_job_record(run, created=1000.0 + age)
        update_job_record(runs[0], pinned=True)
        update_job_record(runs[1], enqueued=True)
        gone = opened.storage.clean_up()
        assert gone == [runs[2], runs[3], runs[4]]
        assert [run.exists() for run in runs] == [True, True, False, False, False, True]
    total = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    tight = Storage(tmp_path, Limits(disk_gb=0.9 * total / 1e9))
    assert tight.clean_up() == [runs[5]]  # the only one that may be deleted
    with pytest.raises(UserError, match="disk is full"):
        Storage(tmp_path, Limits(free_gb=1e9)).require_room()


def test_a_failed_draft_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with service(tmp_path / "runs", started=False) as opened:
        run = make_run(opened, quick_preset())

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr("shutil.copyfile", full)
            with pytest.raises(UserError, match="disk is full") as raised:
                opened.create_draft(TOKEN, disk_video(tmp_path))
        assert list((run.parent / "drafts").iterdir()) == []
        assert str(tmp_path) not in strip_server_paths(str(raised.value))
        assert "disk.mp4" in strip_server_paths(str(raised.value))
        halves = [run.parent / name for name in ("half-made", ".half-deleted")]
        for half in halves:
            half.mkdir()
        assert opened.storage.clean_up() == []
        assert all(half.exists() for half in halves)  # they may still be in the making
        for half in halves:
            os.utime(half, (0, time.time() - 2 * SETTLED_SECONDS))
        assert opened.storage.clean_up() == []
        assert not any(half.exists() for half in halves)
        assert run.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/runs/1/clip.mp4 is damaged.", "clip.mp4 is damaged."),
        ("The disk is full: /srv/runs/1/run.json is lost.", "The disk is full: run.json is lost."),
        ("See https://example.org/a/b and and/or 5 km/h.", "See https://example.org/a/b and and/or 5 km/h."),
    ],
)
def test_the_servers_folders_are_stripped(text: str, expected: str) -> None:
    assert strip_server_paths(text) == expected


def test_deleting_waits_for_the_worker(busy: Service) -> None:
    run = make_run(busy, slow(quick_preset()))
    job = busy.jobs.submit(run)
    with pytest.raises(UserError, match="cancel it"):
        busy.delete(run)
    busy.jobs.cancel(run)
    wait(job, "stopped")
    busy.delete(run)
    assert not run.exists()
    with pytest.raises(UserError, match="no such run"):
        busy.storage.run(TOKEN, run.name)


def test_uploads_over_the_limits_are_refused(busy: Service, tmp_path: Path) -> None:
    long = tmp_path / "long.mp4"
    with open(long, "wb") as file:
        file.truncate(3 * 10**9)  # sparse: it takes no room
    with pytest.raises(UserError, match="3000 MB"):
        busy.create_draft(TOKEN, long)
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    draft = busy.create_draft(TOKEN, text)
    from ar4d.clip import ClipSettings

    with pytest.raises(UserError, match="can be read"):
        busy.cut_out(draft, ClipSettings(), 64)
    good = busy.create_draft(TOKEN, disk_video(tmp_path))
    with pytest.raises(UserError, match="1 to 64 frames"):
        busy.cut_out(good, ClipSettings(num_frames=1000), 64)
    with pytest.raises(UserError, match="16 to 1024 pixels"):
        busy.cut_out(good, ClipSettings(), 5000)
    assert busy.cut_out(good, ClipSettings(), 64).num_frames == 6


def test_a_box_cuts_out_what_is_inside(busy: Service, tmp_path: Path) -> None:
    import numpy as np

    from ar4d.clip import Clip, ClipSettings, Corrections, KeyBox
    from tests.support.footage import disk, over, write_video

    pictures = []
    for k in range(4):
        two = over(disk(24 + k, 40, 12, (200, 30, 40), (128, 80)))
        other = disk(96, 40, 20, (30, 60, 200), (128, 80))
        pictures.append(over(other, two))
    draft = busy.create_draft(TOKEN, write_video(tmp_path / "two.mp4", pictures))
    whole = busy.cut_out(draft, ClipSettings(), 64)
    colors = Clip.load(draft / "input").frames
    assert colors[..., 2][colors[..., 3] > 200].mean() > 120  # the larger disk, a blue one
    corrections = Corrections(boxes=(KeyBox(1, 0.0, 0.0, 0.4, 1.0),))
    boxed = busy.cut_out(draft, ClipSettings(corrections=corrections), 64)
    clip = Clip.load(draft / "input")
    seen = clip.frames[..., 3] > 200
    assert clip.frames[..., 0][seen].mean() > 150  # the red one
    assert clip.frames[..., 2][seen].mean() < 90
    x, y, side = boxed.crop
    assert abs(x + side / 2 - 25.5) < 3
    assert abs(y + side / 2 - 40) < 3
    assert boxed.crop != whole.crop
    assert np.isclose(boxed.fps, whole.fps, rtol=0.01)


def test_the_time_of_a_prediction_grows_with_its_frames() -> None:
    few, many = (nominal_seconds(STAR, frames, "cpu")["predict"] for frames in (4, 24))
    assert 5 < many < 120
    assert nominal_seconds(STAR, 24, "cpu", first_frame=20)["predict"] == few
    assert set(nominal_seconds(STAR, 24, "cpu")) == {"predict"}
    same = nominal_seconds(CPU, 24, "cpu")["refine"]  # stage 3 costs what it costs in the engine ar4d
    refined = replace(STAR_REFINED, gaussians=CPU.initialize.gaussians)
    assert nominal_seconds(refined, 24, "cpu") == {"predict": many, "refine": same}
    assert set(nominal_seconds(STAR_REFINED, 1, "cpu")) == {"predict"}


def test_estimates_learn_from_finished_runs(tmp_path: Path) -> None:
    estimator = Estimator(tmp_path / "timings.jsonl")
    guess = estimator.estimate(CPU, 24, "cpu")
    assert guess.runs == 0
    twice = {stage: 2 * seconds for stage, seconds in nominal_seconds(CPU, 24, "cpu").items()}
    estimator.learn(CPU, 24, "cpu", twice, 10**9)
    again = Estimator(tmp_path / "timings.jsonl").estimate(CPU, 24, "cpu")
    assert again.runs == 1
    assert again.total == pytest.approx(2 * guess.total)
    assert again.memory == pytest.approx(1e9)
    assert estimator.estimate(CPU, 12, "cpu").total < again.total
    assert estimator.estimate(CPU, 24, "cpu", first_frame=24).seconds["generate"] == 0
    assert estimator.estimate(PAPER, 24, "cpu").total > 20 * again.total


def test_progress_is_read_back_from_the_run(busy: Service) -> None:
    run = make_run(busy, quick_preset())
    job = busy.jobs.submit(run)
    wait(job, "finished")
    with open(run / "events.jsonl", "a", encoding="utf-8") as file:
        file.write('{"event": "Step", "sta')  # the process was killed while it wrote
    again = Progress.read(Run.open(run))
    assert again.psnr == job.progress.psnr
    assert again.ssim == job.progress.ssim
    assert again.experts == job.progress.experts
    assert again.frames_done == 4
    assert all(stage.fraction == 1 for stage in again.stages.values())


def test_a_follower_that_fails_does_not_stop_the_run(busy: Service) -> None:
    run = make_run(busy, quick_preset())
    job = busy.jobs.submit(run)
    followed, rested = [], []

    def fail(_: Event) -> None:
        raise OSError("its browser is gone")

    job.follow(lambda: None, fail)
    job.follow(lambda: None, followed.append, lambda: rested.append(True))
    wait(job, "finished")
    assert isinstance(followed[-1], Finished)
    assert rested == [True]
