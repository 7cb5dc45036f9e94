"""Splatt3R as the scene expert, with a network in its place that knows the scene, and with the toy."""

import dataclasses
import math

import pytest
import torch

from ar4d.cameras import RADIUS, orbit
from ar4d.cli import main
from ar4d.errors import UserError
from ar4d.events import Finished
from ar4d.experts.hardware import GIB
from ar4d.experts.registry import of_role, require
from ar4d.experts.splatt3r import Splatt3r
from ar4d.experts.splatt3r.network import RawMaps
from ar4d.lifting import lift_events
from ar4d.losses import psnr
from ar4d.rendering import render
from tests.conftest import quick
from tests.support.hub_mirror import Mirror
from tests.support.known_scene import knowing
from tests.support.scenery import scene, scene_clip
from tests.support.toy_splatt3r import TOY, save_splatt3r, toy_splatt3r

SIZE = 128


def frame(k: int = 0, size: int = SIZE) -> tuple[torch.Tensor, torch.Tensor]:
    picture, depth = scene(k, size)
    rgba = torch.ones(size, size, 4)
    rgba[..., :3] = torch.from_numpy(picture)
    return rgba, torch.from_numpy(depth).float()


@pytest.mark.parametrize("focal", [0.7, 1.6])
def test_the_reference_view_shows_the_picture_at_its_depth_whatever_the_networks_camera(focal):
    rgba, depth = frame()
    gaussians = Splatt3r(knowing(focal=focal, metres=3.0), "cpu", 2 * SIZE).lift(rgba, SIZE**2 // 4)
    view = render(gaussians, orbit(0.0, size=SIZE))
    assert psnr(view.rgb, rgba[None, ..., :3]).item() > 23.5
    assert view.alpha[:, 3:-3, 3:-3].min() > 0.9
    error = (view.depth / view.alpha)[0] / (depth * RADIUS / depth.median()) - 1
    assert error.abs().median() < 1e-3
    assert (error.abs() < 0.1).float().mean() > 0.97


def test_a_wide_picture_lands_in_its_box():
    """The seen part has its own size and its middle is not the picture's."""
    rgba, _ = frame()
    rgba[: SIZE // 2, :, 3] = 0
    gaussians = Splatt3r(knowing(), "cpu", 2 * SIZE).lift(rgba, SIZE**2 // 8)
    view = render(gaussians, orbit(0.0, size=SIZE))
    lower = slice(SIZE // 2 + 3, SIZE - 3)
    assert psnr(view.rgb[:, lower], rgba[None, lower, :, :3]).item() > 23
    assert view.alpha[0, : SIZE // 2 - 4].max() < 0.1


def test_what_is_transparent_becomes_nothing():
    rgba, _ = frame()
    rgba[40:80, 30:60, 3] = 0
    gaussians = Splatt3r(knowing(sigma=0.5), "cpu", 2 * SIZE).lift(rgba, SIZE**2)
    view = render(gaussians, orbit(0.0, size=SIZE))
    assert view.alpha[0, 44:76, 34:56].max() < 0.05
    assert view.alpha[0, 84:, :].min() > 0.8


def test_a_raised_camera_sees_the_same():
    rgba, _ = frame()
    expert = Splatt3r(knowing(), "cpu", SIZE)
    raised = expert.lift(rgba, SIZE**2 // 4, elevation_deg=25.0)
    level = expert.lift(rgba, SIZE**2 // 4)
    seen = render(raised, orbit(0.0, 25.0, size=SIZE)).rgb
    assert psnr(seen, render(level, orbit(0.0, size=SIZE)).rgb).item() > 45
    assert not torch.allclose(raised.means, level.means, atol=0.05)


def test_a_later_frame_keeps_the_scale_of_the_scene():
    shown = 0
    expert = Splatt3r(knowing(lambda: shown, metres=1.0), "cpu", SIZE)
    first = expert.lift(frame(0)[0], SIZE**2 // 4)
    view = render(first, orbit(0.0, size=SIZE))
    known = torch.where(view.alpha > 0.5, view.depth / view.alpha.clamp_min(1e-6), 0.0)[0]
    shown, flickering = 2, Splatt3r(knowing(lambda: 2, metres=7.0), "cpu", SIZE)
    later = render(flickering.relift(frame(2)[0], known, SIZE**2 // 4), orbit(0.0, size=SIZE))
    top = slice(4, 20)  # wall, in both
    ratio = (later.depth / later.alpha)[0, top] / (view.depth / view.alpha)[0, top]
    assert ratio.median().item() == pytest.approx(1, abs=0.01)


def test_a_frame_that_is_lifted_again_costs_no_pass():
    passes = 0
    network = knowing()

    def counted(picture):
        nonlocal passes
        passes += 1
        return network(picture)

    expert = Splatt3r(counted, "cpu", 64)
    rgba, depth = frame(0, 64)
    first = expert.relift(rgba, depth, 256)
    again = expert.relift(rgba.clone(), 2 * depth, 256)
    assert passes == 1
    assert torch.allclose(again.scales, 2 * first.scales, rtol=1e-4)  # at the new scale all the same
    expert.relift(frame(1, 64)[0], depth, 256)
    assert passes == 2


@pytest.mark.slow
def test_a_clip_goes_through_all_stages():
    pictures = torch.stack([torch.from_numpy(scene(k, 64)[0]).float() for k in range(3)])

    def recognising(picture):
        frame = int((pictures - picture[0].permute(1, 2, 0)).abs().mean((1, 2, 3)).argmin())
        return knowing(lambda: frame)(picture)

    expert = Splatt3r(recognising, "cpu", 64)
    settings = dataclasses.replace(quick(), kind="scene")
    finished = list(lift_events(scene_clip(), settings, experts={"scene_to_gaussians": expert}))[-1]
    assert isinstance(finished, Finished)
    assert min(finished.psnr) > 21


@pytest.mark.parametrize("budget", [300, 1000, 4000])
def test_the_budget_is_kept(budget):
    rgba, _ = frame()
    count = len(Splatt3r(knowing(), "cpu", SIZE).lift(rgba, budget))
    assert budget / 2.5 < count <= 1.25 * budget


def test_the_toy_lifts_through_the_published_layout(tmp_path):
    path = save_splatt3r(tmp_path)
    expert = Splatt3r.load("cpu", path.parent, config=TOY)
    expert.side = 32
    plain = Splatt3r(toy_splatt3r(), "cpu", 32)
    rgba = torch.rand(32, 32, 4, generator=torch.Generator().manual_seed(0))
    rgba[..., 3] = 1
    assert outcome(expert, rgba) == outcome(plain, rgba)


def outcome(expert: Splatt3r, rgba: torch.Tensor) -> object:
    """Random weights seldom see a scene: the sentence is as good a fingerprint as Gaussians are."""
    try:
        return expert.lift(rgba, 256).means.tolist()
    except UserError as error:
        return str(error)


def test_senseless_networks_and_empty_frames_are_sentences():
    rgba, depth = frame(0, 64)
    network = knowing()

    def broken(points=lambda x: x, gaussians=lambda x: x):
        def run(picture):
            maps = network(picture)[0]
            maps = RawMaps(points(maps.points), gaussians(maps.gaussians))
            return maps, maps

        return Splatt3r(run, "cpu", 64)

    with pytest.raises(UserError, match=r"points of no camera, focal length nan for 64 pixels.*damaged"):
        broken(points=lambda x: torch.full_like(x, math.nan)).lift(rgba, 100)
    with pytest.raises(UserError, match="nothing that lies before the camera"):
        broken(points=lambda x: -x).lift(rgba, 100)
    with pytest.raises(UserError, match="nothing that lies before the camera"):
        broken(gaussians=lambda x: x - 100).lift(rgba, 100)
    with pytest.raises(UserError, match="points of no camera, focal length 6 for 64"):
        Splatt3r(knowing(focal=0.1), "cpu", 64).lift(rgba, 100)
    with pytest.raises(UserError, match="shows nothing of the scene that is known"):
        Splatt3r(network, "cpu", 64).relift(rgba, torch.zeros_like(depth), 100)
    with pytest.raises(UserError, match="The frame is empty"):
        Splatt3r(network, "cpu", 64).lift(torch.zeros_like(rgba), 100)


def test_a_gpu_or_memory_that_is_too_small_is_a_sentence(monkeypatch, mirror: Mirror):
    import psutil

    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * GIB, 4 * GIB))
        patch.setattr(torch.cuda, "get_device_name", lambda device: "Small GPU")
        refusal = Splatt3r.available("cuda")
    assert refusal is not None
    assert "Splatt3R needs 4 GiB of GPU memory and Small GPU has 2.0 of 4.0 GiB free" in refusal.reason
    refusal = Splatt3r.available("cuda")
    assert refusal is not None
    assert "Splatt3R needs an NVIDIA GPU" in refusal.reason
    free = dataclasses.make_dataclass("Free", ["available"])(2 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    refusal = Splatt3r.available("cpu")
    assert refusal is not None
    assert "Splatt3R needs 4 GiB of memory and 2.0 GiB is free" in refusal.reason


@pytest.fixture
def unaccepted(tmp_path, monkeypatch):
    monkeypatch.setenv("AR4D_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AR4D_ACCEPT", raising=False)


def test_it_is_preferred_once_its_licence_is_accepted(tmp_path, mirror: Mirror, unaccepted, capsys):
    save_splatt3r(tmp_path / "hub")
    cpu = torch.device("cpu")
    assert of_role("scene_to_gaussians")[0].name == "splatt3r"
    with pytest.raises(UserError, match=r"splatt3r is under CC BY-NC 4\.0"):
        require("scene_to_gaussians", "splatt3r", cpu)
    assert main(["fetch", "splatt3r"]) == 2
    said = "splatt3r is under CC BY-NC 4.0 (weights derived from MASt3R, CC BY-NC-SA 4.0; no commercial use)"
    assert said in capsys.readouterr().err
    assert mirror.requests == []
    assert main(["fetch", "splatt3r", "--accept-licence"]) == 0
    assert "no commercial use) accepted" in capsys.readouterr().err
    assert len(mirror.requests) == 1
    assert require("scene_to_gaussians", "auto", cpu)[0].name == "splatt3r"
