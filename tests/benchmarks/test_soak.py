"""The parts of the soak: its plan, its ledger, what it holds for a problem, its report."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from ar4d.clip import ClipSettings
from ar4d.gaussians import Gaussians
from ar4d.runs import Recipe, Run
from benchmarks.soak import LAST_SHARE, Report, Usage, disk, markdown, plan
from benchmarks.support.ledger import Ledger, Verdict
from benchmarks.support.malformed import cases
from benchmarks.support.visitors import Notes
from tests.conftest import make_clip, quick
from tests.support.toy_engine import ring


def test_the_plan_has_all_kills_and_ends_before_the_soak() -> None:
    events = plan(10, {"worker": 20, "server_kill": 5, "disk": 0})
    assert [what for _, what in events].count("worker") == 20
    assert [what for _, what in events].count("server_kill") == 5
    assert events == sorted(events)
    assert events[0][0] > 0
    assert events[-1][0] <= 600 * LAST_SHARE
    assert events == plan(10, {"worker": 20, "server_kill": 5, "disk": 0})


def frame(x: float = 0.5) -> Gaussians:
    return ring(x, 0.5, 5)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = tmp_path / "runs" / "visitor" / "run"
    made = Run.create(folder, Recipe("disk-0.gif", ClipSettings(), quick()), make_clip())
    for k in range(2):
        made.frame_path(k).parent.mkdir(exist_ok=True)
        frame().save(made.frame_path(k))
    return made


def test_the_ledger_finds_lost_changed_and_different_frames(run: Run, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "runs")
    ledger.look()
    assert len(ledger) == 2
    reference = {"disk-0.gif": run.folder}
    assert ledger.check(reference) == Verdict(1, 2, (), ())
    other = tmp_path / "other"
    (other / "frames").mkdir(parents=True)
    frame().save(other / "stage1.safetensors")
    frame(0.6).save(other / "frames" / "0001.safetensors")
    verdict = ledger.check({"disk-0.gif": other})
    assert verdict.lost == ()
    assert [text.split(" differs")[0] for text in verdict.different] == [
        "visitor/run/frames/0001.safetensors"
    ]
    frame(0.7).save(run.frame_path(1))
    run.frame_path(0).unlink()
    lost = ledger.check(reference).lost
    assert lost == (
        "visitor/run/frames/0001.safetensors was changed.",
        "visitor/run/stage1.safetensors is gone.",
    )


def test_what_is_no_sentence_is_a_problem() -> None:
    notes = Notes()
    notes.refused("lift", "3 of your runs are queued or at work, the most that one visitor may have.")
    assert notes.problems == []
    assert list(notes.sentences) == [
        "N of your runs are queued or at work, the most that one visitor may have."
    ]
    for text in ("", "None", "Traceback (most recent call last)", "An error in this program: x."):
        notes.refused("lift", text)
    assert len(notes.problems) == 4


def test_a_disk_is_gone_afterwards() -> None:
    with disk() as (folder, about):
        (folder / "file").write_bytes(b"x")
        assert "disk" in about or about == "not filled"
    assert not folder.exists()


def test_the_report_has_what_was_measured() -> None:
    options = argparse.Namespace(visitors=4, worker_kills=20, server_kills=5)
    report = Report(options, Notes(), seconds=480, kills={"worker": 19})
    report.before, report.after = Usage(100_000_000, 30, 20), Usage(105_000_000, 31, 22)
    report.verdict = Verdict(12, 40, ("x is gone.",), ())
    text = markdown(report)
    assert "| duration | 8.0 minutes |" in text
    assert "| worker kills (SIGKILL) | 19 of 20 planned |" in text
    assert "| **frames lost or changed** | **1** |" in text
    assert "100 and 105 MB (+5 %)" in text
    assert "- x is gone." in text


def test_malformed_cases_are_the_same_for_a_seed() -> None:
    names = [case.name for case in cases(60, seed=1)]
    assert names == [case.name for case in cases(60, seed=1)]
    assert names != [case.name for case in cases(60, seed=2)]
    assert sum(name.startswith("upload") for name in names) == 15
