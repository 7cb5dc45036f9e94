"""Views of a clip that were made elsewhere, read from folders of real videos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ar4d.cli import main
from ar4d.clip import ClipSettings, load_clip, read_views
from ar4d.errors import UserError
from ar4d.runs import Run
from tests.support.footage import disk, over, write_images, write_video

SETTINGS = ClipSettings(num_frames=3, background="auto")
RED, BLUE = (220, 30, 30), (30, 30, 220)
PLACES = {"clip": 60, "right": 66, "left": 54}


def footage(column: int, color=RED, count: int = 3, size=(120, 100)) -> list[np.ndarray]:
    """A disk that falls, on white."""
    return [over(disk(column, 40 + 8 * k, 18, size=size, color=color)) for k in range(count)]


@pytest.fixture
def clip(tmp_path):
    path = write_images(tmp_path / "clip", footage(60))
    return load_clip(path, SETTINGS, 64)


@pytest.fixture
def folder(tmp_path) -> Path:
    views = tmp_path / "views"
    views.mkdir()
    write_images(views / "view_090", footage(66, BLUE))
    write_images(views / "az-75", footage(54))
    write_video(views / "180.mp4", footage(60, BLUE), "libx264", fps=10, options={"crf": "1"})
    write_images(views / "000", footage(60))
    return views


def test_views_are_cut_out_and_framed_as_the_clip_is(clip, folder):
    grid = read_views(folder, clip, SETTINGS, 5.0)
    assert sorted(grid.azimuths_deg.tolist()) == [-75, 0, 90, 180]
    assert grid.elevations_deg.tolist() == [5.0] * 4
    np.testing.assert_array_equal((grid.rgba[0] * 255).round().byte().numpy(), clip.frames)
    middle = torch.arange(64) + 0.5
    shift = 6 * 64 / clip.crop.side  # pixels of the clip's square per 6 of the source
    for azimuth, moved in ((90.0, shift), (-75.0, -shift), (180.0, 0.0)):
        row = grid.row(azimuth)
        assert row is not None
        for k in range(3):
            alpha = [grid.rgba[r, k, ..., 3] for r in (0, row)]
            across = [float((a.sum(0) * middle).sum() / a.sum()) for a in alpha]
            down = [float((a.sum(1) * middle).sum() / a.sum()) for a in alpha]
            assert across[1] - across[0] == pytest.approx(moved, abs=0.4)
            assert down[1] - down[0] == pytest.approx(0, abs=0.4)
    blue = grid.rgba[grid.row(90.0) or 0, 1]
    assert float(blue[..., 2][blue[..., 3] > 0.9].mean()) > 0.8


def test_azimuths_may_stand_in_a_file(clip, folder):
    (folder / "view_090").rename(folder / "right")
    (folder / "views.json").write_text(json.dumps({"right": 90, "180.mp4": -190}))
    assert read_views(folder, clip, SETTINGS).azimuths_deg.tolist() == [0, 90, 170]


def test_what_a_run_kept_is_read_as_it_is(clip, folder, tmp_path):
    grid = read_views(folder, clip, SETTINGS)
    grid.save(tmp_path / "kept")
    again = read_views(tmp_path / "kept", clip, SETTINGS)
    torch.testing.assert_close(again.rgba, grid.rgba, atol=1 / 500, rtol=0)
    assert torch.equal(again.azimuths_deg, grid.azimuths_deg)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: write_images(f / "270", footage(60, count=2)), "270 shows 2 frames and the clip 3"),
        (lambda f: write_images(f / "270", footage(50, size=(100, 100))), "270 is 100×100 pixels large"),
        (lambda f: write_images(f / "behind", footage(60)), "behind has no azimuth"),
        (lambda f: write_images(f / "x450", footage(60)), "have one azimuth, 90°"),
        (lambda f: (f / "views.json").write_text('{"gone.mp4": 90}'), "names gone.mp4, which is not there"),
        (lambda f: (f / "views.json").write_text("[1]"), "is not an object of names and azimuths"),
        (lambda f: (f / "views.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "views.json").write_text('{"000": 0}'), "holds no view from another side"),
    ],
)
def test_what_does_not_fit_is_one_sentence(change, sentence, clip, folder):
    change(folder)
    with pytest.raises(UserError, match=sentence):
        read_views(folder, clip, SETTINGS)


def test_a_missing_folder_is_named(clip, tmp_path):
    with pytest.raises(UserError, match="is no folder; --views takes one"):
        read_views(tmp_path / "nowhere", clip, SETTINGS)


def test_the_command_line_fits_to_them(folder, tmp_path):
    source = write_images(tmp_path / "source", footage(60))
    command = ["lift", str(source), "--engine", "sv4d2", "--views", str(folder), "--size", "48"]
    command += ["--view-size", "32", "--num-frames", "3", "--gaussians", "300", "--device", "cpu"]
    command += ["--static.iterations", "5", "--dynamic.iterations", "8", "--second-stage.iterations", "2"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    run = Run.open(tmp_path / "run")
    assert run.status == "finished"
    assert run.record.experts["clip_to_views"] == "played"
    assert len(list((tmp_path / "run" / "views").glob("*/0002.png"))) == 4
