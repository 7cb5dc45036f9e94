"""Videos from other sides that a visitor adds to a clip."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.page.cli_command import lift_command
from app.runs import other_views
from app.runs.drafts import CutoutRecord, cut_out
from ar4d.clip import Clip, ClipSettings
from ar4d.errors import UserError
from ar4d.runs import Recipe, Run
from ar4d.settings import Settings
from tests.support.footage import disk, over, write_images, write_video

CLIP = ClipSettings(num_frames=3, background="plain")
MOST = 1e6


def video(path: Path, column: int, count: int = 3) -> Path:
    """A disk that falls, on white."""
    frames = [over(disk(column, 40 + 8 * k, 18, size=(120, 100), color=(30, 30, 220))) for k in range(count)]
    return write_video(path, frames, "libx264", fps=10, options={"crf": "1"})


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    frames = [over(disk(60, 40 + 8 * k, 18, size=(120, 100), color=(220, 30, 30))) for k in range(3)]
    (tmp_path / "draft" / "source").mkdir(parents=True)
    write_images(tmp_path / "draft" / "source" / "clip", frames)
    return tmp_path / "draft"


def cut(draft: Path) -> CutoutRecord:
    cut_out(draft, CLIP, 64, 60.0, 1e7, 100)
    return CutoutRecord.read(draft)


def test_a_run_gets_them_and_hands_them_on(draft: Path, tmp_path: Path) -> None:
    assert cut(draft).sides == []
    assert other_views.of_draft(draft, Settings()) is None
    uploads = [video(tmp_path / "view_090.mp4", 66), video(tmp_path / "-90.mp4", 54)]
    other_views.take(draft, uploads, MOST)
    assert cut(draft).sides == [-90, 90]
    settings = Settings(elevation_deg=5.0)
    grid = other_views.of_draft(draft, settings)
    assert grid is not None
    assert grid.elevations_deg.tolist() == [5.0] * 3
    recipe = Recipe("clip", CLIP, settings)
    run = Run.create(tmp_path / "run", recipe, Clip.load(draft / "input"), views=grid)
    assert other_views.given_to(run)
    other_views.hand_on(run, tmp_path / "again")
    assert (tmp_path / "again" / "views" / "01" / "0002.png").exists()
    assert lift_command("clip", "out", CLIP, settings, "sides").endswith("--views sides")
    other_views.forget(draft)
    assert cut(draft).sides == []
    assert other_views.of_draft(draft, settings) is None


def test_what_does_not_fit_is_a_sentence_and_leaves_the_clip_usable(draft: Path, tmp_path: Path) -> None:
    before = cut(draft)
    other_views.take(draft, [video(tmp_path / "180.mp4", 60, count=2)], MOST)
    with pytest.raises(UserError, match=r"180\.mp4 shows 2 frames and the clip 3.* were removed\.$"):
        cut(draft)
    assert CutoutRecord.read(draft) == before
    assert cut(draft).sides == []
    with pytest.raises(UserError, match="has 0 MB and this server accepts at most 0 MB"):
        other_views.take(draft, [tmp_path / "180.mp4"], 10)
    with pytest.raises(UserError, match="choose it again"):
        other_views.take(draft, [], MOST)
