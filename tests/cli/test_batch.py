"""`ar4d batch` with real worker processes and an engine that takes no time."""

from __future__ import annotations

import csv
import shutil
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from ar4d.cli import main
from ar4d.cli.batch import worker_environments
from ar4d.cli.batch_clips import BatchClip, collect
from ar4d.cli.batch_work import Batch
from tests.cli.test_cli import QUICK
from tests.conftest import ball_frames

OPTIONS = [*QUICK, "--initialize.expert=silhouette", "--generate.expert=silhouette"]


def picture_folder(folder: Path, num_frames: int = 3) -> Path:
    folder.mkdir(parents=True)
    for k, frame in enumerate(ball_frames(num_frames, 96)):
        Image.fromarray(frame).save(folder / f"{k}.png")
    return folder


def report(out: Path) -> dict[str, dict[str, str]]:
    with open(out / "report.csv", newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def names(sources: list[str], options: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    clips, refused = collect(sources, options)
    return [clip.name for clip in clips], [one.reason for one in refused]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    for name in ("one", "two"):
        picture_folder(folder / name)
    return folder


def test_a_folder_a_pattern_and_a_single_clip(clips: Path) -> None:
    (clips / "three.mp4").write_bytes(b"")
    (clips / "cover.jpg").write_bytes(b"")
    (clips / ".hidden").mkdir()
    assert names([str(clips)]) == (["one", "three", "two"], [])
    assert names([str(clips / "t*")]) == (["three", "two"], [])
    assert names([str(clips / "one")]) == (["one"], [])  # pictures are one clip


def test_two_clips_of_one_name_and_a_missing_one_are_left_out(clips: Path, tmp_path: Path) -> None:
    other = picture_folder(tmp_path / "other" / "one")
    found, (same, missing) = names([str(clips), str(other), "nowhere.mp4"])
    assert found == ["one", "two"]
    assert f'{other} and {clips / "one"} would both be called "one"' in same
    assert missing == "There is no nowhere.mp4; give clips, a folder, a pattern or a CSV file."


def write_csv(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_csv_gives_each_row_its_options(clips: Path, tmp_path: Path) -> None:
    table = write_csv(
        tmp_path / "list.csv",
        "clip,name,seed,generate.iterations,refine.enabled\nclips/one,,3,,\nclips/one,again,4,9,false\n",
    )
    (first, second), refused = collect([table], ["--preset=cpu"])
    assert not refused
    assert first == BatchClip(clips / "one", "one", ("--preset=cpu", "--seed=3"))
    assert second.name == "again"
    assert second.options == ("--preset=cpu", "--seed=4", "--generate.iterations=9", "--refine.no-enabled")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clip,sead\nclips/one,3\n", 'the column "sead", which is neither clip, name nor an option'),
        ("clip,out\nclips/one,3\n", 'the column "out"'),
        ("path\nclips/one\n", 'no column "clip"'),
        ("", 'no column "clip"'),
        ("clip,seed\nclips/one,many\n", "line 2 gives --seed=many, which `ar4d lift` does not take"),
        ("clip,seed\nclips/one\n", "line 2 has not as many values"),
        ("clip,seed\n,3\n", "line 2 names no clip"),
        ("clip,name\nclips/one,../up\n", 'the name "../up"'),
    ],
)
def test_a_bad_csv_is_a_sentence_and_the_other_clips_go_on(
    text: str, words: str, clips: Path, tmp_path: Path
) -> None:
    found, (reason,) = names([write_csv(tmp_path / "list.csv", text), str(clips / "two")])
    assert found == ["two"]
    assert words in reason
    assert "\n" not in reason


def test_options_that_lift_does_not_take_stop_the_batch(clips: Path, tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "out")
    assert main(["batch", str(clips), "--out", out, "--", "--seed=x"]) == 2
    assert "The command line gives --seed=x" in capsys.readouterr().err
    assert main(["batch", str(clips), "--out", out, "--", "--resume"]) == 2
    assert "--resume, which a batch chooses itself" in capsys.readouterr().err
    assert main(["batch", str(clips), "--out", out, "--workers=0"]) == 2
    assert "--workers is a number from 1" in capsys.readouterr().err


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("ar4d.cli.batch.available_cores", lambda: 8)
    assert [e["OMP_NUM_THREADS"] for e in worker_environments(3, None)] == ["2", "2", "2"]
    assert [e["OMP_NUM_THREADS"] for e in worker_environments(16, None)] == ["1"] * 16
    assert [e["OMP_NUM_THREADS"] for e in worker_environments(2, 3)] == ["3", "3"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert worker_environments(1, None)[0]["OMP_NUM_THREADS"] == "5"


FULL_DISK = """
import errno, os
replace = os.replace
def refuse(source, target):
    if "/full/" in str(target) and "frames" in str(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    replace(source, target)
os.replace = refuse
"""


def test_a_batch_lifts_as_single_runs_do_and_goes_on(clips: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "out"
    shutil.rmtree(clips / "two")
    (clips / "broken.mp4").write_bytes(b"no video")
    table = write_csv(tmp_path / "list.csv", "clip,name,seed\nclips/one,full,7\n")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FULL_DISK)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    command = ["batch", str(clips), table, "--out", str(out), "--workers=2", "--", *OPTIONS]
    assert main(command) == 2  # two clips are not lifted
    lines = report(out)
    outcomes = {"one": "finished", "broken": "failed", "full": "failed"}
    assert {name: line["outcome"] for name, line in lines.items()} == outcomes
    assert "broken.mp4" in lines["broken"]["message"]
    assert "disk is full" in lines["full"]["message"]
    assert lines["full"]["frames"] == "1"
    assert lines["one"]["frames"] == "3"
    assert 10 < float(lines["one"]["psnr"]) < 60

    (tmp_path / "site" / "sitecustomize.py").write_text("")  # the disk has room again
    (clips / "broken.mp4").unlink()
    assert main(command) == 0
    outcomes = {name: line["outcome"] for name, line in report(out).items()}
    assert outcomes == {"one": "finished before", "full": "finished"}
    alone = tmp_path / "alone"
    assert main(["lift", str(clips / "one"), "--out", str(alone), *OPTIONS, "--seed=7"]) == 0
    same = (out / "full" / "refined.safetensors").read_bytes()
    assert same == (alone / "refined.safetensors").read_bytes()  # also after an interruption
    assert same != (out / "one" / "refined.safetensors").read_bytes()
    assert main([*command, "--size=32"]) == 2
    assert "with other settings" in report(out)["one"]["message"]


def test_a_killed_worker_costs_no_finished_frame(clips: Path, tmp_path: Path, monkeypatch) -> None:
    clip = BatchClip(clips / "one", "one", (*OPTIONS, "--generate.iterations=400"))
    batch, first = Batch(tmp_path / "out", [{}]), tmp_path / "out" / "one" / "stage1.safetensors"
    written: list[int] = []

    def kill_after_the_first_frame() -> None:
        end = time.monotonic() + 100
        while not first.exists() and time.monotonic() < end:
            time.sleep(0.01)
        written.append(first.stat().st_mtime_ns)
        for process in list(batch._processes):
            process.kill()

    killer = threading.Thread(target=kill_after_the_first_frame)
    killer.start()
    (result,) = batch.work([clip], lambda _: None)
    killer.join()
    assert (result.outcome, result.frames) == ("finished", 3)
    assert first.stat().st_mtime_ns == written[0]  # it was not made again


def test_a_process_that_dies_again_and_again_is_given_up(clips: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    monkeypatch.syspath_prepend(str(tmp_path))
    (result,) = Batch(tmp_path / "out", [{}]).work([BatchClip(clips / "one", "one", ())], lambda _: None)
    assert result.outcome == "failed"
    assert "killed 3 times" in result.message
