"""Runs that an earlier version made open, resume and export as before."""

from pathlib import Path

import pytest

from ar4d.clip import ClipSettings
from ar4d.engines.registry import parse_settings
from ar4d.events import FacingEstimated, FrameFinished, Planned
from ar4d.formats import export
from ar4d.gaussians import Gaussians
from ar4d.runs import Recipe, Run, read_record
from ar4d.settings import Settings
from tests.conftest import make_clip
from tests.support.old_runs import SETTINGS, write_old_run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same run, made by this version."""
    settings = parse_settings(SETTINGS)
    folder = tmp_path_factory.mktemp("whole") / "run"
    run = Run.create(folder, Recipe("ball.mp4", ClipSettings(num_frames=4), settings), make_clip())
    for _ in run.work():
        pass
    return run


def same(a: Gaussians, b: Gaussians) -> bool:
    return a.means.equal(b.means) and a.colors.equal(b.colors) and a.opacities.equal(b.opacities)


def test_an_old_record_is_a_run_of_ar4d(tmp_path: Path, whole: Run) -> None:
    write_old_run(tmp_path / "run", make_clip(), whole.frames(), finished=True)
    record = read_record(tmp_path / "run" / "run.json")
    assert isinstance(record.recipe.settings, Settings)
    assert record.recipe.settings == whole.record.recipe.settings
    assert record.recipe.settings.engine == "ar4d"
    assert record.recipe.clip.num_frames == 4


def test_an_old_run_replays_its_events_after_a_plan(tmp_path: Path, whole: Run) -> None:
    write_old_run(tmp_path / "run", make_clip(), whole.frames(), finished=True)
    run = Run.open(tmp_path / "run")
    plan, *events = run.events()
    assert isinstance(plan, Planned)
    assert [(stage.name, stage.steps) for stage in plan.stages] == [
        ("initialize", 10),
        ("generate", 30),
        ("refine", 30),
    ]
    assert FacingEstimated(-45.0, 0.75) in events
    assert [e.psnr for e in events if isinstance(e, FrameFinished)] == [25.0, 26.0, 27.0, 28.0]
    assert run.metrics() == ([30.0] * 4, [0.9] * 4)


def test_an_old_interrupted_run_resumes_to_the_same_bits(tmp_path: Path, whole: Run) -> None:
    write_old_run(tmp_path / "run", make_clip(), whole.frames()[:2], finished=False)
    run = Run.open(tmp_path / "run")
    assert run.num_finished == 2
    for _ in run.work():
        pass
    assert Run.open(run.folder).status == "finished"
    assert all(same(a, b) for a, b in zip(run.frames(), whole.frames(), strict=True))
    assert run.asset_path.read_bytes() == whole.asset_path.read_bytes()


def test_an_old_finished_run_exports(tmp_path: Path, whole: Run) -> None:
    write_old_run(tmp_path / "run", make_clip(), whole.frames(), finished=True)
    run = Run.open(tmp_path / "run")
    assert same(run.asset().at(0.0), whole.frames()[0])
    (player,) = export(run.asset(), "html", tmp_path / "player.html")
    assert player.stat().st_size > 10_000
