"""New Gaussians for what a frame shows and no earlier one did."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ar4d.asset import frame_time
from ar4d.cameras import RADIUS, orbit
from ar4d.clip import Clip
from ar4d.engines.ar4d.births import AHEAD, MOST_SHARE, OPACITY, newborn, without_strays
from ar4d.events import FrameFinished, drain
from ar4d.lifting import lift_events
from ar4d.losses import psnr
from ar4d.rendering import Rendering, render
from ar4d.settings import Settings
from tests.conftest import make_clip, quick
from tests.support.reference import blob

SIZE, PATCH = 64, (slice(20, 36), slice(30, 50))
GREEN, RED = torch.tensor([0.2, 0.6, 0.2]), torch.tensor([0.9, 0.1, 0.1])


def views(depth: float = RADIUS) -> tuple[Rendering, torch.Tensor, torch.Tensor]:
    """A green wall as it is seen, and a frame [S, S, 4] in which a part of it is red; and that on white."""
    rgb = GREEN.expand(1, SIZE, SIZE, 3)
    ones = torch.ones(1, SIZE, SIZE)
    frame = torch.cat([rgb[0], ones[0, ..., None]], -1).clone()
    frame[PATCH] = torch.cat([RED, torch.ones(1)])
    return Rendering(rgb, depth * ones, ones), frame, frame[..., :3]


def born(expected_depth: float = 0.0, elevation_deg: float = 0.0, residual: float = 0.1, count: int = 5000):
    seen, frame, target = views()
    depth = torch.full((SIZE, SIZE), expected_depth)
    return newborn(seen, frame, target, depth, orbit(0.0, elevation_deg, size=SIZE), residual, count)


@pytest.mark.parametrize("elevation_deg", [0.0, 25.0])
def test_they_cover_what_is_wrong_in_its_colours(elevation_deg):
    gaussians = born(elevation_deg=elevation_deg)
    assert gaussians is not None
    camera = orbit(0.0, elevation_deg, size=SIZE)
    view, K = camera.viewmats[0].double().numpy(), camera.Ks[0].double().numpy()
    points = gaussians.means.double().numpy() @ view[:3, :3].T + view[:3, 3]
    columns, rows = ((points @ K.T)[:, :2] / points[:, 2:]).T - 0.5
    inner = (rows > 22) & (rows < 33) & (columns > 32) & (columns < 47)
    assert inner.sum() >= 5 * 8
    assert (rows > 17.5).all()
    assert (rows < 38.5).all()
    assert (columns > 27.5).all()
    assert (columns < 52.5).all()
    assert torch.equal(gaussians.colors[torch.from_numpy(inner)], RED.expand(int(inner.sum()), 3))
    np.testing.assert_allclose(points[:, 2], RADIUS * (1 - AHEAD), rtol=1e-5)
    assert (gaussians.opacities == OPACITY).all()


def test_they_lie_where_the_expert_has_the_surface_if_it_is_in_front():
    for expected, found in ((RADIUS - 0.3, RADIUS - 0.3), (RADIUS + 0.3, RADIUS * (1 - AHEAD))):
        gaussians = born(expected_depth=expected)
        assert gaussians is not None
        view = orbit(0.0, 0.0, size=SIZE).viewmats[0]
        depths = gaussians.means @ view[2, :3] + view[2, 3]
        torch.testing.assert_close(depths, torch.full_like(depths, found), atol=1e-5, rtol=0)


def test_a_view_that_is_right_bears_none():
    seen, _, _ = views()
    right = torch.cat([seen.rgb[0], seen.alpha[0, ..., None]], -1)
    depth = torch.zeros(SIZE, SIZE)
    camera = orbit(0.0, 0.0, size=SIZE)
    assert newborn(seen, right, seen.rgb[0], depth, camera, 0.1, 5000) is None
    one = right.clone()
    one[30, 30, :3] = RED  # a single wrong pixel is noise
    assert newborn(seen, one, one[..., :3], depth, camera, 0.1, 5000) is None
    assert born(residual=0.9) is None


def test_no_more_come_at_once_than_the_body_bears():
    gaussians = born(count=400)
    assert gaussians is not None
    assert len(gaussians) == round(MOST_SHARE * 400)


def opening(num_frames: int = 4) -> Clip:
    """A green ball in the middle of which something red comes up in the third frame."""
    clip = make_clip(num_frames)
    size = clip.frames.shape[1]
    frames = np.zeros_like(clip.frames)
    y, x = np.mgrid[0:size, 0:size] - (size - 1) / 2
    for k in range(num_frames):
        frames[k][np.hypot(x, y) < 0.34 * size] = (60, 150, 60, 255)
        if k >= 2:
            frames[k][np.hypot(x - k + 2, y) < 0.11 * size] = (220, 40, 40, 255)
    return replace(clip, frames=frames)


def lifted(birth_residual: float):
    base = quick()
    assert isinstance(base, Settings)
    settings = replace(
        base,
        initialize=replace(base.initialize, expert="silhouette"),
        generate=replace(base.generate, expert="silhouette", iterations=40, birth_residual=birth_residual),
        refine=replace(base.refine, iterations=160),
    )
    sizes = []

    def count(event):
        if isinstance(event, FrameFinished) and event.gaussians is not None:
            sizes.append(len(event.gaussians))

    clip = opening()
    asset = drain(lift_events(clip, settings), count)
    camera, target = orbit(0.0, 0.0, size=settings.size), clip.rgb_on_white()
    quality = [psnr(render(asset.at(frame_time(k, 4)), camera).rgb, target[k][None]).item() for k in range(4)]
    return sizes, quality, asset


def test_what_comes_up_late_is_shown_better():
    sizes, without, _ = lifted(0.0)
    assert len(set(sizes)) == 1
    sizes, quality, asset = lifted(0.1)
    assert sizes[0] == sizes[1] < sizes[2] <= sizes[3]
    assert min(quality[2:]) > min(without[2:]) + 1.5
    assert min(quality[:2]) > min(without[:2]) - 1
    new = slice(sizes[0], None)
    assert (asset.at(1 / 3).opacities[new] == 0).all()
    assert (asset.at(2 / 3).opacities[new] > 0.1).any()


def test_what_the_frame_contradicts_is_retired():
    alpha = torch.zeros(SIZE, SIZE)
    alpha[20:44, 20:44] = 1
    means = torch.tensor([[0, 0, 0], [0, 0, -0.5], [0.45, 0, 0], [0, 0.7, 0.2], [0, 0, 2 * RADIUS]])
    body = blob(len(means), seed=3)
    found = without_strays(replace(body, means=means), alpha, orbit(0.0, 0.0, size=SIZE))
    assert (found.opacities > 0).tolist() == [True, True, False, False, False]
    assert torch.equal(found.opacities[:2], body.opacities[:2])
    assert torch.equal(found.means, means)


def test_what_goes_on_beyond_the_border_is_kept():
    alpha = torch.zeros(SIZE, SIZE)
    alpha[30:, 20:44] = 1  # it leaves the picture at the bottom
    means = torch.tensor([[0.0, -0.9, 0.0], [0.0, 0.9, 0.0]])
    found = without_strays(replace(blob(2, seed=3), means=means), alpha, orbit(0.0, 0.0, size=SIZE))
    assert (found.opacities > 0).tolist() == [True, False]
