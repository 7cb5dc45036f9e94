"""Protocols as presets, shape metrics of an asset, and sentences for bad input."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ar4d.errors import UserError
from ar4d.evaluation import lpips, metrics, protocols, sets, shapes
from ar4d.evaluation.by_protocol import measure_by_protocol
from ar4d.evaluation.ground_truth import read_ground_truth
from ar4d.evaluation.registry import METRICS, Frames
from ar4d.evaluation.report import asset_renderer, compare
from ar4d.rendering import Rendering
from tests.support.bench_folder import moving_gaussians, write_object

FRAMES = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_object(tmp_path_factory.mktemp("protocols") / "blob", moving_gaussians(FRAMES))


@pytest.fixture(scope="module")
def truth(folder):
    return read_ground_truth(folder)


@pytest.fixture
def found(truth):
    """The truth, darkened: by a tenth at the reference view, by a fifth elsewhere."""
    return {
        v.name: Frames(v.rgb * (0.9 if v.name == truth.reference else 0.8), v.rgba[..., 3])
        for v in truth.views
    }


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    for variable in ("AR4D_I3D", "AR4D_I3D_400", "AR4D_CLIP", lpips.VARIABLE, lpips.VGG_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AR4D_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


def test_each_protocol_names_known_metrics_and_its_source():
    assert set(protocols.PROTOCOLS) == {"ar4d", "consistent4d", "sv4d2"}
    for protocol in protocols.PROTOCOLS.values():
        assert set(protocol.pairs + protocol.against_reference) <= set(METRICS)
        assert set(protocol.sets) <= set(sets.SET_METRICS)
        assert "LPIPS" in protocol.details
        assert "SSIM" in protocol.details


def test_each_protocol_takes_its_own_views(truth, found):
    def psnr(azimuths):
        views = [v for azimuth in azimuths for v in truth.at(azimuth)]
        return torch.stack([metrics.psnr(found[v.name].rgb, v.rgb).mean() for v in views]).mean().item()

    def scored(name):
        return protocols.measure_protocol(protocols.find(name), found, truth).scores.psnr

    assert scored("ar4d") == pytest.approx(psnr([0]), rel=1e-5)
    assert scored("consistent4d") == pytest.approx(psnr([-75, 15, 105, 195]), rel=1e-5)
    assert scored("sv4d2") == pytest.approx(psnr([v.azimuth_deg for v in truth.views]), rel=1e-5)


def test_what_has_no_weights_is_no_number(truth, found):
    result = protocols.measure_protocol(protocols.find("consistent4d"), found, truth)
    assert result.scores.lpips_vgg is None
    assert result.scores.clip_s is None
    assert len(result.notes) == 3  # LPIPS by VGG, CLIP-S, I3D; nothing that the protocol does not ask for
    assert protocols.set_distances(protocols.find("consistent4d"), [result]).fvd_one_clip is None


class Detector(nn.Module):
    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        return x.mean((2, 3, 4))


def test_set_metrics_of_several_objects(truth, found, tmp_path, monkeypatch):
    torch.jit.script(Detector()).save(str(tmp_path / "i3d.pt"))
    monkeypatch.setenv("AR4D_I3D", str(tmp_path / "i3d.pt"))
    own = protocols.measure_protocol(protocols.find("ar4d"), found, truth)
    assert len(own.found["fvd"]) == len(truth.views) - 1  # novel views …
    assert len(own.truth["fvd"]) == 1  # … against the reference
    assert protocols.set_distances(protocols.find("ar4d"), [own]).fvd is None
    several = protocols.set_distances(protocols.find("ar4d"), [own, own])
    assert several.fvd is not None
    assert several.fvd > 0
    matrix = protocols.measure_protocol(protocols.find("sv4d2"), found, truth)
    assert len(matrix.truth["fvd_v"]) == FRAMES
    assert protocols.set_distances(protocols.find("sv4d2"), [matrix, matrix]).fv4d > 0


def test_a_protocol_that_lacks_views_is_one_sentence(truth, found):
    without = dataclasses.replace(truth, views=tuple(v for v in truth.views if v.azimuth_deg != 105))
    with pytest.raises(UserError, match="no view at azimuth 105°"):
        protocols.measure_protocol(protocols.find("consistent4d"), found, without)
    with pytest.raises(UserError, match="no view at the clip's own camera"):
        protocols.measure_protocol(protocols.find("ar4d"), found, dataclasses.replace(truth, reference=None))
    with pytest.raises(UserError, match="was not rendered"):
        protocols.measure_protocol(protocols.find("sv4d2"), {}, truth)
    with pytest.raises(UserError, match='no protocol "best"; choose from: ar4d'):
        protocols.find("best")


def test_opaque_truth_and_damaged_renders_are_one_sentence(truth, tmp_path):
    folder = write_object(tmp_path / "opaque", moving_gaussians(2))
    for path in (folder / "views" / "az+090").glob("*.png"):
        Image.open(path).convert("RGB").convert("RGBA").save(path)
    with pytest.raises(UserError, match="opaque everywhere"):
        read_ground_truth(folder)
    view = truth.views[0]
    broken = Rendering(view.rgb * float("nan"), view.rgba[..., 3], view.rgba[..., 3])
    with pytest.raises(UserError, match="no numbers"):
        compare(broken, view.rgba, {})


def test_shape_metrics_of_an_asset(folder):
    asset = moving_gaussians(FRAMES)
    times = [0.0, 0.5, 1.0]
    np.save(folder / "points.npy", torch.stack([asset.at(t).means for t in times]).numpy())
    points = shapes.read_points(folder, FRAMES)
    assert points is not None
    scores = shapes.measure_shape(asset, times, points)
    assert scores.cd_3d == pytest.approx(0, abs=1e-6)
    assert scores.cd_m == pytest.approx(0, abs=1e-6)
    assert scores.f_score == pytest.approx(1)
    assert 0 < scores.depth_agreement <= 1
    still = shapes.measure_shape(moving_gaussians(1), times, points)
    assert still.cd_m > 0.1
    assert shapes.measure_shape(asset, times, None).cd_3d is None


def test_wrong_points_are_one_sentence(folder):
    path = folder / "points.npy"
    path.write_bytes(b"none")
    with pytest.raises(UserError, match="cannot be read as points"):
        shapes.read_points(folder, FRAMES)
    np.save(path, np.zeros((FRAMES - 1, 4, 3)))
    with pytest.raises(UserError, match=f"has {FRAMES - 1} frames, but the views have {FRAMES}"):
        shapes.read_points(folder, FRAMES)
    np.save(path, np.zeros((FRAMES, 4)))
    with pytest.raises(UserError, match=r"it needs finite numbers"):
        shapes.read_points(folder, FRAMES)
    path.unlink()
    assert shapes.read_points(folder, FRAMES) is None


def test_a_renderer_gives_what_protocols_take(truth):
    show = asset_renderer(moving_gaussians(FRAMES))
    with torch.no_grad():
        renders = {v.name: show(truth.times, v.camera) for v in truth.views}
    frames = {name: Frames(r.rgb, r.alpha) for name, r in renders.items()}
    result = protocols.measure_protocol(protocols.find("sv4d2"), frames, truth)
    assert result.scores.psnr > 45


def test_a_report_by_protocol(folder):
    report = measure_by_protocol(moving_gaussians(FRAMES), folder, "sv4d2")
    assert json.loads(report.to_json())["scores"]["psnr"] == report.scores.psnr
    lines = report.table().splitlines()
    assert next(line.split() for line in lines if line.startswith("PSNR"))[1] == f"{report.scores.psnr:.2f}"
    assert next(line.split() for line in lines if line.startswith("FV4D"))[1] == "–"
    assert any("zeros beyond the border" in line for line in lines)
