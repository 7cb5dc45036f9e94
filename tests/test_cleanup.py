"""Cleaning up by hand: what an outline takes, for all frames at once, without touching the original."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ar4d.asset import Asset4D, DeformedGaussians, FrameSequence, frame_time, load_asset
from ar4d.cameras import FOV_Y_DEG, orbit
from ar4d.cleanup import Cleanup, Faint, Outline, clean, kept, parse_edit, selected
from ar4d.cli import main
from ar4d.deformation import global_field
from ar4d.errors import UserError
from ar4d.gaussians import Gaussians
from ar4d.parameters import Parameters
from ar4d.rendering import render
from ar4d.runs import Run
from ar4d.settings import FieldKind, FieldSettings
from tests.support.finished import finished_run
from tests.support.moving import SpinningBall

LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def outline(azimuth_deg: float = 0.0, polygon=LEFT_HALF, **values) -> Outline:
    viewmat = tuple(orbit(azimuth_deg, 10.0, size=1).viewmats[0].flatten().tolist())
    return Outline(polygon, viewmat, **values)


def sequence(count: int = 3) -> FrameSequence:
    ball = SpinningBall(num_frames=count)
    return FrameSequence(tuple(ball.at(frame_time(k, count)) for k in range(count)), ball.fps)


def deformed(kind: FieldKind, nodes: int = 40) -> DeformedGaussians:
    """An asset of stage 3 with random offsets."""
    ball, settings = SpinningBall(), FieldSettings(kind=kind, nodes=nodes, width=16, depth=3)
    paths = torch.stack([ball.at(t).means for t in (0.0, 0.5, 1.0)])
    torch.manual_seed(0)
    field = global_field(settings, paths, torch.rand(ball.count))
    for parameter in field.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    field.requires_grad_(False)
    return DeformedGaussians(Parameters.of(ball.at(0.0), True), field, settings, 3, 2.0)


def same(a: Gaussians, b: Gaussians) -> None:
    for name, value in a.state().items():
        torch.testing.assert_close(value, b.state()[name], rtol=0, atol=1e-6)


def test_an_outline_takes_what_a_renderer_shows_there():
    """An independent projection in float64, and the picture: nothing is left in the left half."""
    asset, edit = sequence(), outline(35.0, time=0.5)
    mask = selected(asset, edit).numpy()
    viewmat = np.array(edit.viewmat).reshape(4, 4)
    focal = 0.5 / np.tan(np.radians(FOV_Y_DEG) / 2)
    for mean, taken in zip(asset.at(0.5).means.double().numpy(), mask, strict=True):
        x, _, z = viewmat[:3, :3] @ mean + viewmat[:3, 3]
        assert taken == (0.5 + focal * x / z < 0.5)
    assert 100 < mask.sum() < 500
    picture = render(clean(asset, Cleanup((edit,))).at(0.5), orbit(35.0, 10.0, size=64)).alpha[0]
    assert picture[:, :26].max() < 0.02
    assert picture[:, 34:].max() > 0.9


def test_an_outline_may_have_any_shape_and_take_the_outside():
    star = tuple(
        (0.5 + r * np.sin(a), 0.5 + r * np.cos(a))
        for a, r in zip(np.linspace(0, 2 * np.pi, 10, endpoint=False), [0.3, 0.1] * 5, strict=True)
    )
    asset = sequence()
    mask = selected(asset, outline(polygon=star))
    assert torch.equal(selected(asset, outline(polygon=star, outside=True)), ~mask)
    points = render_positions(asset.at(0.0))
    from matplotlib.path import Path as Polygon

    np.testing.assert_array_equal(mask.numpy(), Polygon(star).contains_points(points))


def render_positions(gaussians: Gaussians) -> np.ndarray:
    camera = orbit(0.0, 10.0, size=1)
    inside = gaussians.means @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
    projected = inside @ camera.Ks[0].T
    return (projected[:, :2] / projected[:, 2:]).numpy()


def test_what_lies_behind_the_camera_is_not_taken():
    viewmat = list(outline().viewmat)
    viewmat[11] = -5.0
    everywhere = ((-1.0, -1.0), (2.0, -1.0), (2.0, 2.0), (-1.0, 2.0))
    assert not selected(sequence(), Outline(everywhere, tuple(viewmat))).any()


def test_faint_splats_are_those_that_are_faint_in_every_frame():
    frames = list(sequence().frames)
    opacities = torch.full((600,), 0.9)
    opacities[:10] = 0.01
    frames = [Gaussians(**{**frame.state(), "opacities": opacities.clone()}) for frame in frames]
    frames[1].opacities[0] = 0.5  # shows itself once
    mask = selected(FrameSequence(tuple(frames), 2.0), Faint(0.05))
    assert mask.nonzero().flatten().tolist() == list(range(1, 10))


@pytest.mark.parametrize("make", [sequence, lambda: deformed("node-table"), lambda: deformed("mlp")])
def test_the_others_move_as_before_in_every_frame(tmp_path, make):
    asset: Asset4D = make()
    cleanup = Cleanup((outline(), Faint(0.7)))
    keep = kept(asset, cleanup)
    assert 0 < keep.sum() < len(keep)
    cleaned = clean(asset, cleanup)
    cleaned.save(tmp_path / "a.safetensors")
    for t in (0.0, 0.3, 0.5, 1.0):
        same(cleaned.at(t), asset.at(t).select(keep))
        same(load_asset(tmp_path / "a.safetensors").at(t), cleaned.at(t))


def test_fewer_splats_than_nodes_can_be_saved_and_read(tmp_path):
    asset = deformed("node-table", nodes=300)
    small = ((0.45, 0.45), (0.55, 0.45), (0.55, 0.55), (0.45, 0.55))
    cleaned = clean(asset, Cleanup((outline(polygon=small, outside=True),)))
    assert 0 < len(cleaned.at(0.0)) < 100
    cleaned.save(tmp_path / "a.safetensors")
    same(load_asset(tmp_path / "a.safetensors").at(0.7), cleaned.at(0.7))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return finished_run(tmp_path / "run", SpinningBall())


def test_a_run_keeps_both_and_undoes(run):
    first, second = outline(), Faint(0.7)
    run.set_cleanup(Cleanup((first,)))
    half = len(run.result().at(0.0))
    run.set_cleanup(run.cleanup.with_edit(second))
    assert len(run.result().at(0.0)) < half < len(run.asset().at(0.0)) == 600
    assert len(run.result(original=True).at(0.0)) == 600
    assert len(load_asset(run.folder).at(0.0)) == len(run.result().at(0.0))
    assert len(load_asset(run.folder / "refined.safetensors").at(0.0)) == 600
    run.set_cleanup(run.cleanup.undone())
    assert len(run.result().at(0.0)) == half
    run.set_cleanup(run.cleanup.undone())
    assert len(load_asset(str(run.folder)).at(0.0)) == 600
    assert not (run.folder / "cleanup.json").exists()
    with pytest.raises(UserError, match="no clean-up to undo"):
        run.cleanup.undone()


def test_a_selection_of_everything_is_refused_and_changes_nothing(run):
    run.set_cleanup(Cleanup((outline(),)))
    everything = ((-1.0, -1.0), (2.0, -1.0), (2.0, 2.0), (-1.0, 2.0))
    with pytest.raises(UserError, match="This would delete all 600 splats"):
        run.set_cleanup(run.cleanup.with_edit(outline(polygon=everything)))
    assert len(run.cleanup.edits) == 1
    assert 0 < len(run.result().at(0.0)) < 600


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"kind": "outline", "polygon": [[0, 0]], "viewmat": [0.0] * 16}, "3 to 2000 corners, not 1"),
        ({"kind": "outline", "polygon": [[0, 9]], "viewmat": [0.0] * 16}, "cannot be read"),
        ({"kind": "outline", "polygon": [], "viewmat": [0.0] * 9}, "viewmat"),
        ({"kind": "faint", "opacity": 0}, "opacity"),
        ({"kind": "brush"}, "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_selections_that_make_no_sense_are_one_sentence(values, sentence):
    with pytest.raises(UserError, match=sentence):
        selected(sequence(), parse_edit(values))


def test_the_command_line_cleans_undoes_and_repeats(run, tmp_path, capsys):
    folder = str(run.folder)
    assert main(["clean", folder, "--box", "0", "0", "0.5", "1"]) == 0
    left = int(capsys.readouterr().out.split()[0])
    assert 0 < left < 600
    edits = tmp_path / "edits.json"
    edits.write_text((run.folder / "cleanup.json").read_text())
    assert main(["export", folder, "--format", "ply", "--time", "0", "--out", str(tmp_path / "a.ply")]) == 0
    assert f"element vertex {left}".encode() in (tmp_path / "a.ply").read_bytes()
    whole = ["--original", "--time", "0", "--out", str(tmp_path / "b.ply")]
    assert main(["export", folder, "--format", "ply", *whole]) == 0
    assert b"element vertex 600" in (tmp_path / "b.ply").read_bytes()
    assert main(["clean", folder, "--undo"]) == 0
    assert main(["clean", folder, "--edits", str(edits)]) == 0
    assert f"{left} of 600 splats are left" in capsys.readouterr().out
    assert main(["clean", folder, "--box", "-1", "-1", "2", "2"]) == 2
    assert main(["clean", folder, "--opacity", "7"]) == 2
    assert main(["clean", folder]) == 2
    assert main(["clean", folder, "--box", "0.5", "0", "0.2", "1"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert [line for line in errors if line.startswith("ar4d:")] == errors[-4:]
    assert json.loads((run.folder / "cleanup.json").read_text())["edits"]
    assert main(["clean", folder, "--reset"]) == 0
    assert "600 of 600" in capsys.readouterr().out


def test_a_folder_without_a_result_is_one_sentence(tmp_path, run):
    with pytest.raises(UserError, match="holds no finished run"):
        load_asset(tmp_path)
    (run.folder / "refined.safetensors").unlink()
    with pytest.raises(UserError, match="is not finished yet"):
        load_asset(run.folder)
