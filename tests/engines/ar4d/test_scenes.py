"""A scene through all three stages: with an expert that knows the true depth, and with the tiny network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ar4d.asset import frame_time
from ar4d.cameras import RADIUS, orbit
from ar4d.cli import main
from ar4d.clip import ClipSettings, load_clip
from ar4d.engines.ar4d import generate, initialize, refine
from ar4d.events import ExpertChosen, Finished
from ar4d.experts import registry
from ar4d.experts.depth import INDOOR, DepthAnything, DepthLift
from ar4d.experts.registry import Entry
from ar4d.lifting import lift_events
from ar4d.losses import psnr
from ar4d.presets import CPU
from ar4d.rendering import render
from ar4d.runs import Run
from ar4d.settings import Settings
from tests.cli.test_cli import QUICK
from tests.conftest import quick
from tests.support.footage import write_images
from tests.support.plugins import registries as registries  # a fixture
from tests.support.scenery import scene, scene_clip, true_depth
from tests.support.toy_depth import save_depth

SCENE = replace(quick(), kind="scene")


def depth_entry(expert) -> Entry:
    return Entry("depth", ("scene_to_gaussians",), "", lambda device: None, lambda device: expert)


@pytest.fixture
def known_depth(registries):
    registry.register(depth_entry(true_depth(3.0)))


def test_a_scene_goes_through_all_stages_and_stays_where_it_is():
    events = list(lift_events(scene_clip(), SCENE, experts={"scene_to_gaussians": true_depth(3.0)}))
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.asset is not None
    targets = scene_clip().rgb_on_white()
    assert min(finished.psnr) > 22
    assert finished.psnr[2] > psnr(targets[:1], targets[2:3]).item() + 3  # better than a still picture
    roles = [event.role for event in events if isinstance(event, ExpertChosen)]
    assert roles == ["scene_to_gaussians", "scene_to_gaussians"]
    camera = orbit(0.0, size=64)
    for k in range(3):
        view = render(finished.asset.at(frame_time(k, 3)), camera)
        depth = (view.depth / view.alpha.clamp_min(1e-6))[0]
        truth = torch.from_numpy(scene(k, 64)[1]).float()
        truth = truth * RADIUS / torch.from_numpy(scene(0, 64)[1]).float().median()
        assert (depth / truth - 1).abs().median() < 0.03


def test_views_are_sampled_only_a_little_to_the_sides(monkeypatch):
    azimuths = []

    def spy(azimuth, *arguments, **options):
        azimuths.append(azimuth)
        return orbit(azimuth, *arguments, **options)

    for module in (initialize, generate, refine):
        monkeypatch.setattr(module, "orbit", spy)
    monkeypatch.setattr("ar4d.engines.ar4d.fitting.orbit", spy)
    settings = replace(SCENE, scene_azimuth=15.0, generate=replace(SCENE.generate, steps_per_degree=0.01))
    list(lift_events(scene_clip(2), settings, experts={"scene_to_gaussians": true_depth(3.0)}))
    assert 10 < max(azimuths) <= 15
    assert -15 <= min(azimuths) < -10


def test_an_object_is_still_seen_from_all_sides():
    assert Settings().sides_deg == 180
    assert CPU.budget == CPU.initialize.gaussians
    assert replace(CPU, kind="scene").sides_deg == 20
    assert replace(CPU, kind="scene").budget == 256 * 256 // 4


def test_the_tiny_network_goes_the_whole_way(tmp_path):
    network = DepthAnything.load(INDOOR, "cpu", save_depth(tmp_path / "net"))
    network.side = 28
    experts = {"scene_to_gaussians": DepthLift(network)}
    finished = list(lift_events(scene_clip(2), SCENE, experts=experts))[-1]
    assert isinstance(finished, Finished)
    assert min(finished.psnr) > 18


def test_the_whole_picture_is_kept_in_a_square(tmp_path):
    pictures = [np.full((40, 80, 3), 10 * k + 100, np.uint8) for k in range(3)]
    folder = write_images(tmp_path / "frames", pictures)
    clip = load_clip(folder, ClipSettings().of_scene(), 64)
    assert clip.matting == "none"
    assert clip.frames.shape == (3, 64, 64, 4)
    assert (clip.frames[:, 20:44, :, 3] == 255).all()
    assert (clip.frames[:, :14, :, 3] == 0).all()
    assert clip.warnings == ()
    kept = ClipSettings(framing="keep", background="auto").of_scene()
    assert (kept.framing, kept.background) == ("keep", "none")


def test_the_command_lifts_a_scene(known_depth, tmp_path, capsys):
    folder = tmp_path / "frames"
    folder.mkdir()
    for k in range(3):
        Image.fromarray((255 * scene(k, 64)[0]).astype(np.uint8)).save(folder / f"{k}.png")
    out = tmp_path / "run"
    assert main(["lift", str(folder), "--out", str(out), "--kind", "scene", *QUICK]) == 0
    run = Run.open(out)
    assert run.status == "finished"
    assert run.record.recipe.settings.kind == "scene"
    assert run.record.recipe.clip.framing == "whole"
    assert run.record.experts == {"scene_to_gaussians": "depth"}
    assert run.clip.alpha().min() == 1


def test_without_a_network_the_remedy_is_told(tmp_path, monkeypatch, capsys):
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert main(["lift", "x.mp4", "--out", str(tmp_path / "run"), "--kind", "scene", "--device=cpu"]) == 2
    assert "HF_HUB_OFFLINE is set; unset it, or bring them" in capsys.readouterr().err
