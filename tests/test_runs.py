"""Runs: what is on disk when, resuming after any interruption, determinism."""

import hashlib
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import pytest
import torch

from ar4d.clip import Clip, ClipSettings
from ar4d.errors import UserError
from ar4d.events import CanonicalChosen, Finished, FrameFinished, FrameImagined
from ar4d.gaussians import Gaussians
from ar4d.runs import Recipe, Run, read_record
from tests.conftest import make_clip, quick


def recipe(settings=None) -> Recipe:
    return Recipe("ball.mp4", ClipSettings(), settings or quick())


def results(folder: Path) -> dict[str, str]:
    """Digests: a difference of megabytes would take minutes to be printed."""
    paths = [*folder.glob("*.safetensors"), *folder.glob("frames/*.safetensors"), folder / "metrics.json"]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    for _ in Run.create(folder, recipe(), make_clip()).work():
        pass
    return folder


def test_folder_of_a_finished_run(undisturbed):
    run = Run.open(undisturbed)
    assert run.status == "finished"
    assert run.num_finished == 4
    assert run.record.experts == {"image_to_gaussians": "embedded", "views_to_gaussians": "embedded"}
    assert set(run.record.seconds) == {"initialize", "generate", "refine"}
    assert len(run.asset().at(0.5)) == len(run.frames()[0])
    assert iio.imread(undisturbed / "cutout.png").shape == (2 * 64, 2 * 64, 3)  # four frames
    names = {"run.json", "stage1.safetensors", "refined.safetensors", "metrics.json", "events.jsonl", "input"}
    assert names <= {path.name for path in undisturbed.iterdir()}
    assert not list(undisturbed.rglob(".*.safetensors"))  # nothing half written
    assert isinstance(list(run.events())[-1], Finished)
    metrics = run.metrics()
    assert metrics is not None
    assert [len(values) for values in metrics] == [4, 4]


def test_same_seed_same_bits_other_seed_other_bits(undisturbed, tmp_path):
    for name, seed in (("same", 0), ("other", 1)):
        for _ in Run.create(tmp_path / name, recipe(replace(quick(), seed=seed)), make_clip()).work():
            pass
    assert results(tmp_path / "same") == results(undisturbed)
    assert results(tmp_path / "other")["refined.safetensors"] != results(undisturbed)["refined.safetensors"]


@pytest.mark.parametrize("stop_at", [0, 2, 3])
def test_stopped_run_resumes_to_the_same_result(undisturbed, tmp_path, stop_at):
    run = Run.create(tmp_path / "run", recipe(), make_clip())
    work = run.work()
    for event in work:
        if isinstance(event, FrameFinished) and event.frame_index == stop_at:
            break
    work.close()
    assert Run.open(run.folder).status == "stopped"
    assert run.num_finished == stop_at + 1
    before = run.frame_path(stop_at).stat().st_mtime_ns
    for _ in Run.open(run.folder).work():
        pass
    assert run.frame_path(stop_at).stat().st_mtime_ns == before  # not made twice
    assert results(run.folder) == results(undisturbed)


def test_the_imagined_first_frame_is_kept_while_it_is_fitted(undisturbed, tmp_path):
    run = Run.create(tmp_path / "run", recipe(), make_clip())
    work = run.work()
    for event in work:
        if isinstance(event, FrameImagined):
            break
    assert len(Gaussians.load(run.imagined_path)) > 0
    assert not run.frame_path(0).exists()
    for event in work:
        if isinstance(event, FrameFinished):
            break
    assert not run.imagined_path.exists()
    work.close()
    assert not Run.open(undisturbed).imagined_path.exists()


def canonical_clip() -> Clip:
    return replace(make_clip(), canonical=2, canonical_reason="Frame 2 (counted from 0) is sharper.")


def test_a_run_builds_on_the_canonical_frame_and_goes_both_ways(tmp_path):
    run = Run.create(tmp_path / "run", recipe(), canonical_clip())
    events = list(run.work())
    assert [e for e in events if isinstance(e, CanonicalChosen)] == [
        CanonicalChosen(2, "Frame 2 (counted from 0) is sharper.")
    ]
    assert [(e.stage, e.frame_index) for e in events if isinstance(e, FrameFinished)] == [
        ("initialize", 2),
        ("generate", 3),
        ("generate", 1),
        ("generate", 0),
    ]
    run = Run.open(run.folder)
    assert (run.record.canonical, run.record.canonical_reason) == (2, "Frame 2 (counted from 0) is sharper.")
    assert run.clip.order == run.finished == (2, 3, 1, 0)
    assert sorted(path.stem for path in (run.folder / "frames").iterdir()) == ["0000", "0001", "0003"]
    first = Gaussians.load(run.folder / "stage1.safetensors")
    assert torch.equal(run.frames()[2].means, first.means)
    psnr, _ = run.metrics() or ([], [])
    assert min(psnr) > 15  # each frame against its own picture


@pytest.mark.parametrize("stop_at", [2, 3, 1])
def test_a_stopped_run_with_a_canonical_frame_resumes_to_the_same_result(tmp_path, stop_at):
    whole = Run.create(tmp_path / "whole", recipe(), canonical_clip())
    for _ in whole.work():
        pass
    run = Run.create(tmp_path / "run", recipe(), canonical_clip())
    work = run.work()
    for event in work:
        if isinstance(event, FrameFinished) and event.frame_index == stop_at:
            break
    work.close()
    for _ in Run.open(run.folder).work():
        pass
    assert results(run.folder) == results(whole.folder)


def test_an_impossible_canonical_frame_is_a_damaged_clip(tmp_path):
    make_clip().save(tmp_path)
    record = (tmp_path / "clip.json").read_text()
    (tmp_path / "clip.json").write_text(record.replace('"canonical": 0', '"canonical": 9'))
    with pytest.raises(UserError, match=r"damaged.*frame 9 of 4"):
        Clip.load(tmp_path)


KILLED = """
import sys
from pathlib import Path
from ar4d.runs import Run
for event in Run.open(Path(sys.argv[1])).work():
    print(type(event).__name__, flush=True)
"""


def test_killed_run_resumes_to_the_same_result(undisturbed, tmp_path):
    run = Run.create(tmp_path / "run", recipe(), make_clip())
    command = [sys.executable, "-c", KILLED, str(run.folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as process:
        while not run.frame_path(1).exists():
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert 2 <= run.num_finished < 5
    assert Run.open(run.folder).status == "running"  # nobody was left to say otherwise
    for _ in Run.open(run.folder).work():
        pass
    assert results(run.folder) == results(undisturbed)


def test_two_processes_never_share_a_run(tmp_path):
    run = Run.create(tmp_path / "run", recipe(), make_clip())
    work = run.work()
    next(work)
    with pytest.raises(UserError, match="Another process is working on"):
        next(Run.open(run.folder).work())
    work.close()


def test_a_run_is_never_overwritten(undisturbed):
    before = results(undisturbed)
    with pytest.raises(UserError, match="holds a run already"):
        Run.create(undisturbed, recipe(), make_clip())
    assert results(undisturbed) == before


def test_record_can_be_read_back(undisturbed):
    assert read_record(undisturbed / "run.json").recipe == recipe()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is not a run's record"),
        ('{"recipe": {"source": "a", "clip": {}, "settings": {"size": "x"}}}', "size"),
    ],
)
def test_broken_record_is_a_sentence(tmp_path, content, complaint):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UserError, match=complaint):
        Run.open(tmp_path)


def test_missing_run_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        Run.open(tmp_path / "nothing")


def test_damaged_frame_is_a_sentence_and_stays(undisturbed, tmp_path):
    run = Run.create(tmp_path / "run", recipe(), make_clip())
    run.frame_path(0).write_bytes(b"half")
    with pytest.raises(UserError, match=r"stage1\.safetensors does not hold Gaussians"):
        list(run.work())
    assert Run.open(run.folder).status == "failed"
    assert "does not hold Gaussians" in (Run.open(run.folder).record.error or "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")
def test_full_disk_stops_the_run_with_a_sentence_and_keeps_what_is_done(tmp_path, monkeypatch):
    run = Run.create(tmp_path / "run", recipe(), make_clip())
    from ar4d.gaussians import Gaussians

    save = Gaussians.save

    def save_on_a_full_disk(gaussians, path):
        if "0002" not in path.name:
            return save(gaussians, path)
        with open("/dev/full", "wb", buffering=0) as full:  # the kernel's own ENOSPC
            full.write(b"x")

    monkeypatch.setattr(Gaussians, "save", save_on_a_full_disk)
    with pytest.raises(UserError, match="The disk is full"):
        list(run.work())
    assert run.num_finished == 2
    monkeypatch.undo()
    list(Run.open(run.folder).work())
    assert Run.open(run.folder).status == "finished"


def test_unwritable_folder_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="cannot be written to"):
        Run.create(tmp_path / "file" / "run", recipe(), make_clip())
