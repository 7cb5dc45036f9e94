"""The scene expert: a surface from known depths, and the tiny network through the published layout."""

import numpy as np
import pytest
import torch

from ar4d.cameras import RADIUS, orbit
from ar4d.errors import UserError
from ar4d.experts.depth import INDOOR, DepthAnything, DepthLift
from ar4d.experts.depth.expert import cells_for
from ar4d.experts.depth.surface import FAR, lift_depth, sharpen
from ar4d.gaussians import rotation_matrices
from ar4d.losses import psnr
from ar4d.rendering import render
from tests.support.hub_mirror import Mirror
from tests.support.scenery import BOX, WALL, scene, true_depth
from tests.support.toy_depth import save_depth

SIZE = 128


def frame(k: int = 0, size: int = SIZE) -> tuple[torch.Tensor, torch.Tensor]:
    picture, depth = scene(k, size)
    rgba = torch.ones(size, size, 4)
    rgba[..., :3] = torch.from_numpy(picture)
    return rgba, torch.from_numpy(depth).float()


def test_the_reference_view_shows_the_picture_at_its_depth():
    rgba, depth = frame()
    gaussians = true_depth(3.0).lift(rgba, SIZE**2)
    view = render(gaussians, orbit(0.0, size=SIZE))
    assert psnr(view.rgb, rgba[None, ..., :3]).item() > 24
    assert view.alpha.min() > 0.8
    scaled = depth * RADIUS / depth.median()
    error = (view.depth / view.alpha)[0] / scaled - 1
    assert error.abs().median() < 0.01
    assert (error.abs() < 0.1).float().mean() > 0.97


def test_a_raised_camera_sees_the_same():
    rgba, _ = frame()
    gaussians = true_depth().lift(rgba, SIZE**2, elevation_deg=25.0)
    view = render(gaussians, orbit(0.0, 25.0, size=SIZE))
    assert psnr(view.rgb, rgba[None, ..., :3]).item() > 24
    level = true_depth().lift(rgba, SIZE**2)
    assert not torch.allclose(gaussians.means, level.means, atol=0.05)


def blurred(depth: torch.Tensor) -> torch.Tensor:
    """As networks give it: edges are slopes over several pixels."""
    kernel = torch.ones(1, 1, 7, 7) / 49
    padded = torch.nn.functional.pad(depth[None, None], (3, 3, 3, 3), mode="replicate")
    return torch.nn.functional.conv2d(padded, kernel)[0, 0]


def test_no_rubber_sheet_hangs_between_front_and_back():
    """Between box and wall there is nothing in the world, however the network blurs its edge."""
    rgba, depth = frame()
    z = sharpen(blurred(depth).numpy().astype(float), np.ones((SIZE, SIZE), bool))
    rows = slice(SIZE // 2 - 8, SIZE // 2 + 8)  # through the middle of the box
    between = (z[rows] > BOX * 1.15) & (z[rows] < WALL * 0.87)
    raw = blurred(depth).numpy()[rows]
    assert ((raw > BOX * 1.15) & (raw < WALL * 0.87)).mean() > 0.03
    assert between.mean() < 0.003
    gaussians = lift_depth(rgba, depth, SIZE)
    footprint = (RADIUS - gaussians.means[:, 2]) / (SIZE * 1.1)
    assert (gaussians.scales.amax(-1) / footprint).max() < 4


def test_a_view_from_beside_shows_neither_holes_nor_streaks_near_the_edges():
    rgba, depth = frame()
    gaussians = lift_depth(rgba, depth, SIZE)
    view = render(gaussians, orbit(6.0, size=SIZE), background=None)
    inner = view.alpha[0, 20:-20, 30:-20]
    assert (inner < 0.5).float().mean() < 0.01  # the wall goes on a little under the box


def test_what_is_far_is_a_backdrop_and_what_is_transparent_nothing():
    rgba, depth = frame()
    rgba[:20, :, 3] = 0
    gaussians = lift_depth(rgba, torch.where(depth > 2.3, 1000.0, depth), 64)
    assert gaussians.means[:, 2].min() > RADIUS - FAR - 1e-3
    view = render(gaussians, orbit(0.0, size=SIZE))
    assert view.alpha[0, :16].max() < 0.2


def test_gaussians_lie_flat_on_the_wall():
    rgba, _ = frame()
    gaussians = lift_depth(rgba, torch.full((SIZE, SIZE), 1.5), 64)
    normal = rotation_matrices(gaussians.quats)[torch.arange(len(gaussians)), :, gaussians.scales.argmin(-1)]
    assert normal[:, 2].abs().min() > 0.99
    assert len(gaussians) == 64 * 64
    assert gaussians.means[:, 2].abs().max() < 1e-5


def test_a_later_frame_keeps_the_scale_of_the_scene():
    """The network's scale flickers; what is known of the scene holds it."""
    first = true_depth(1.0).lift(frame(0)[0], SIZE**2)
    view = render(first, orbit(0.0, size=SIZE))
    known = torch.where(view.alpha > 0.5, view.depth / view.alpha.clamp_min(1e-6), 0.0)[0]
    later = true_depth(7.0).relift(frame(2)[0], known, SIZE**2)
    seen = render(later, orbit(0.0, size=SIZE))
    top = slice(4, 20)  # wall, in both
    ratio = (seen.depth / seen.alpha)[0, top] / (view.depth / view.alpha)[0, top]
    assert ratio.median().item() == pytest.approx(1, abs=0.01)


def test_the_budget_sets_the_grid():
    rgba, _ = frame()
    assert cells_for(4096, rgba) == 64
    assert cells_for(10**9, rgba) == SIZE
    rgba[: SIZE // 2, :, 3] = 0
    assert cells_for(2048, rgba) == 64


def test_empty_frames_and_broken_networks_are_sentences():
    rgba, depth = frame()
    with pytest.raises(UserError, match="gave no finite depths"):
        DepthLift(lambda rgb: torch.full(rgb.shape[:2], float("nan"))).lift(rgba, 100)
    with pytest.raises(UserError, match="shows nothing of the scene that is known"):
        true_depth().relift(rgba, torch.zeros_like(depth), 100)
    with pytest.raises(UserError, match="The frame is empty"):
        true_depth().lift(torch.zeros_like(rgba), 100)


def test_the_published_layout_loads_and_measures(tmp_path):
    network = DepthAnything.load(INDOOR, "cpu", save_depth(tmp_path / "net"))
    network.side = 28
    rgb = torch.rand(50, 80, 3, generator=torch.Generator().manual_seed(0))
    depth = network(rgb)
    assert depth.shape == (50, 80)
    assert (depth > 0).all()
    assert not torch.equal(depth, network(rgb.flip(1)))


def test_the_hub_serves_it_too(tmp_path, mirror: Mirror):
    save_depth(tmp_path / "hub" / INDOOR.repo)
    assert DepthLift.available(INDOOR, "cpu") is None
    lift = DepthLift.load(INDOOR, "cpu")
    lift.depth.side = 28  # pyright: ignore[reportFunctionMemberAccess]
    rgba = torch.ones(32, 32, 4)
    rgba[:4, :, 3] = 0
    assert len(lift.lift(rgba, 256)) == pytest.approx(256, rel=0.3)


def test_wrong_weights_are_refused_by_key(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = save_depth(tmp_path / "net")
    path = folder / "model.safetensors"
    weights = load_file(path)
    key = "head.conv1.weight"
    save_file({**weights, key: torch.zeros(2, 2)}, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"the shape of {key} is \[2, 2\] instead of"):
        DepthAnything.load(INDOOR, "cpu", folder)
    save_file({k: v for k, v in weights.items() if k != key}, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=f"it lacks {key}; take the published files"):
        DepthAnything.load(INDOOR, "cpu", folder)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="is cut short or damaged"):
        DepthAnything.load(INDOOR, "cpu", folder)


def test_a_network_for_relative_depth_is_refused(tmp_path):
    with pytest.raises(UserError, match="is a network for relative depth; take the metric one"):
        DepthAnything.load(INDOOR, "cpu", save_depth(tmp_path / "net", kind="relative"))
