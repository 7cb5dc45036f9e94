"""`evaluate` on a tiny object whose ground truth is an asset's own renders, and on folders that are wrong."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ar4d.asset import FrameSequence
from ar4d.cameras import orbit
from ar4d.clip import Clip
from ar4d.clip.framing import whole_crop
from ar4d.errors import UserError
from ar4d.evaluation import Report, Scores, evaluate, lpips, mean, reference_metrics
from ar4d.evaluation.ground_truth import read_ground_truth
from ar4d.gaussians import Gaussians
from ar4d.rendering import render
from tests.support.bench_folder import AZIMUTHS_DEG, SIZE, moving_gaussians, name_of, write_object

FRAMES = 5


@pytest.fixture(scope="module")
def asset() -> FrameSequence:
    return moving_gaussians(FRAMES)


@pytest.fixture(scope="module")
def written(asset, tmp_path_factory) -> Path:
    return write_object(tmp_path_factory.mktemp("bench") / "blob", asset)


@pytest.fixture(autouse=True)
def no_lpips(monkeypatch):
    monkeypatch.delenv(lpips.VARIABLE, raising=False)


@pytest.fixture(scope="module")
def darker(asset) -> FrameSequence:
    frames = [Gaussians(**{**g.state(), "colors": 0.5 * g.colors}) for g in asset.frames]
    return FrameSequence(tuple(frames), asset.fps)


def plain_psnr(asset: FrameSequence, folder: Path, azimuth_deg: float) -> float:
    """Mean over frames, from the files themselves."""
    values = []
    for k, path in enumerate(sorted((folder / "views" / name_of(azimuth_deg)).glob("*.png"))):
        rgba = np.asarray(Image.open(path)) / 255.0
        true = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
        pred = render(asset.frames[k], orbit(azimuth_deg, size=SIZE)).rgb[0].double().numpy()
        values.append(-10 * math.log10(((pred - true) ** 2).mean()))
    return sum(values) / len(values)


def test_an_asset_equals_its_own_renders(asset, written):
    report = evaluate(asset, written)
    assert report.name == "blob"
    assert report.num_frames == FRAMES
    assert list(report.views) == [name_of(a) for a in AZIMUTHS_DEG]
    for scores in report.views.values():
        assert scores.psnr > 45
        assert scores.ssim > 0.995
        assert scores.iou > 0.99
        assert scores.roughness == pytest.approx(1, abs=0.02)
        assert scores.flicker == pytest.approx(1, abs=0.05)
        assert scores.seam == pytest.approx(0, abs=1e-3)
        assert scores.fog is not None
        assert 0.2 < scores.fog < 0.9  # blurred balls are mostly edge


def test_numbers_are_those_of_the_files(darker, written):
    report = evaluate(darker, written)
    for azimuth in AZIMUTHS_DEG:
        expected = plain_psnr(darker, written, azimuth)
        assert report.views[name_of(azimuth)].psnr == pytest.approx(expected, abs=1e-3)
        assert expected < 30


def test_means(darker, written):
    report = evaluate(darker, written)
    assert report.reference == report.views["az+000"]
    test = [report.views[name_of(a)].psnr for a in (-75, 15, 105, 195)]
    unseen = [report.views[name_of(a)].psnr for a in AZIMUTHS_DEG if a != 0]
    assert report.test is not None
    assert report.unseen is not None
    assert report.test.psnr == pytest.approx(sum(test) / 4)
    assert report.unseen.psnr == pytest.approx(sum(unseen) / 7)


def test_mean_leaves_out_what_is_not_known():
    a = Scores(psnr=20, lpips=None, iou=0.5, roughness=1.0, fog=None)
    b = Scores(psnr=30, lpips=None, iou=0.75, roughness=None, fog=0.3)
    assert mean([a, b]) == Scores(psnr=25, lpips=None, iou=0.625, roughness=1.0, fog=0.3)
    assert mean([]) is None


def test_frames_are_matched_by_time(asset, written):
    coarse = evaluate(moving_gaussians(2), written)
    assert coarse.unseen is not None
    assert coarse.unseen.psnr > 45
    assert any("made from 2 frames and the ground truth has 5" in note for note in coarse.notes)
    still = evaluate(FrameSequence(asset.frames[:1], 10), written)
    assert still.unseen is not None
    assert still.unseen.psnr < 25


def test_first_frames_alone(asset, written):
    first = FrameSequence(asset.frames[:3], asset.fps)
    report = evaluate(first, written, num_frames=3)
    assert report.num_frames == 3
    assert report.reference is not None
    assert report.reference.psnr > 45
    assert report.notes[0] == lpips.absent()


def test_lpips_is_absent_or_real(asset, written, tmp_path):
    absent = evaluate(asset, written)
    assert absent.reference is not None
    assert absent.reference.lpips is None
    assert lpips.absent() in absent.notes
    generator = torch.Generator().manual_seed(0)
    shapes = lpips.weight_shapes().items()
    state = {name: 0.1 * torch.rand(shape, generator=generator) for name, shape in shapes}
    torch.save(state, tmp_path / "random.pt")
    report = evaluate(moving_gaussians(FRAMES, seed=1), written, tmp_path / "random.pt")
    assert not any(note.startswith("LPIPS was") for note in report.notes)
    truth = read_ground_truth(written)
    other = moving_gaussians(FRAMES, seed=1)
    pred = torch.cat([render(g, truth.views[0].camera).rgb for g in other.frames])
    expected = lpips.Lpips.load(tmp_path / "random.pt")(pred, truth.views[0].rgb).mean().item()
    assert report.views["az+000"].lpips == pytest.approx(expected, rel=1e-3)
    assert expected > 0


def test_reference_metrics_are_those_of_the_clip(asset, darker, written):
    frames = np.stack(
        [np.asarray(Image.open(p)) for p in sorted((written / "views" / "az+000").glob("*.png"))]
    )
    clip = Clip(frames, 10.0, whole_crop(SIZE, SIZE, "blob"), "blob", "alpha", ())
    assert reference_metrics(asset, clip).psnr > 45
    scores = reference_metrics(darker, clip)
    assert scores == evaluate(darker, written).reference
    assert reference_metrics(darker, clip, elevation_deg=40.0).iou < scores.iou


def test_json_and_table(darker, written):
    report = evaluate(darker, written)
    read = json.loads(report.to_json())
    assert read["views"]["az+090"]["psnr"] == report.views["az+090"].psnr
    assert Report(**read).num_frames == FRAMES
    lines = report.table().splitlines()
    assert len({len(line) for line in lines[:12]}) == 1  # 1 head, 8 views, 3 means: aligned
    assert lines[12] == lpips.absent()
    row = next(line for line in lines if line.startswith("az+090")).split()
    assert row[1] == f"{report.views['az+090'].psnr:.2f}"
    assert row[3] == "–"


def test_elevated_reference(asset, written, tmp_path):
    folder = shutil.copytree(written, tmp_path / "blob")
    edit_meta(folder, lambda meta: meta.update(input_camera={"azimuth_deg": 0, "elevation_deg": 10.0}))
    report = evaluate(asset, folder)
    assert report.reference is None
    assert "reference" not in report.table()


def edit_meta(folder: Path, change) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    change(meta)
    (folder / "meta.json").write_text(json.dumps(meta))


def half_size(path: Path) -> None:
    Image.open(path).resize((SIZE // 2, SIZE // 2)).save(path)


WRONG = {
    "no meta": (lambda f: (f / "meta.json").unlink(), r"meta\.json cannot be read"),
    "broken meta": (lambda f: (f / "meta.json").write_text("{"), r"meta\.json cannot be read"),
    "a list": (lambda f: (f / "meta.json").write_text("[]"), "names no cameras"),
    "no cameras": (lambda f: edit_meta(f, lambda m: m.pop("cameras")), "names no cameras"),
    "no K": (
        lambda f: edit_meta(f, lambda m: m["cameras"]["az+015"].pop("K")),
        "Camera az.015 .* incomplete",
    ),
    "bad viewmat": (
        lambda f: edit_meta(f, lambda m: m["cameras"]["az+015"].update(viewmat=[1, 2])),
        "Camera az.015 .* incomplete",
    ),
    "no view": (lambda f: shutil.rmtree(f / "views" / "az+090"), "no frames in .*az.090"),
    "a frame less": (
        lambda f: (f / "views" / "az+090" / "0004.png").unlink(),
        r"differ in their number of frames .*az\+090: 4",
    ),
    "other size": (lambda f: half_size(f / "views" / "az-075" / "0002.png"), r"0002\.png is 24×24 .* 48×48"),
    "no alpha": (
        lambda f: Image.new("RGB", (SIZE, SIZE)).save(f / "views" / "az+000" / "0000.png"),
        r"0000\.png is RGB, not RGBA",
    ),
    "no picture": (
        lambda f: (f / "views" / "az+000" / "0001.png").write_bytes(b"x"),
        r"0001\.png cannot be read",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_layouts_are_named(case, asset, written, tmp_path):
    folder = shutil.copytree(written, tmp_path / "blob")
    spoil, message = WRONG[case]
    spoil(folder)
    with pytest.raises(UserError, match=message):
        evaluate(asset, folder)


@pytest.mark.parametrize("num_frames", [0, 6])
def test_frames_that_are_not_there(asset, written, num_frames):
    with pytest.raises(UserError, match="1 to 5, not"):
        evaluate(asset, written, num_frames=num_frames)


def test_views_by_azimuth(written):
    truth = read_ground_truth(written)
    assert [v.name for v in truth.at(-90)] == ["az+270"]
    assert [v.name for v in truth.at(285)] == ["az-075"]
    assert truth.at(45) == []
    assert truth.times == [0, 0.25, 0.5, 0.75, 1]
