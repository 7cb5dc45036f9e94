"""Cameras, shapes, clean-up and merging against formulas written out in float64."""

import math

import numpy as np
import pytest
import torch

from ar4d.cameras import intrinsics
from ar4d.experts.splatt3r.activations import PixelGaussians
from ar4d.experts.splatt3r.focal import weiszfeld_focal
from ar4d.experts.splatt3r.lifting import FAR, NEAR, Splats, camera_change, in_reference_camera, scaled
from ar4d.experts.splatt3r.merging import MOST_OPACITY, merged
from ar4d.experts.splatt3r.picture import Box, resized, shown_picture
from ar4d.gaussians import Gaussians, rotation_matrices

BOX = Box(top=20, left=5, height=60, width=110)
SHOWN = (64, 112)


def pixel_gaussians(height: int = 8, width: int = 12, seed: int = 0) -> PixelGaussians:
    """Random ones of two views, all usable."""
    random = np.random.default_rng(seed)

    def values(*shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        return torch.from_numpy(random.uniform(low, high, (2, height, width, *shape)))

    quats = torch.from_numpy(random.standard_normal((2, height, width, 4)))
    means = torch.cat([values(2, low=-1), values(1, low=1, high=3)], -1)
    return PixelGaussians(
        points=means,
        confidence=values(low=1, high=2),
        means=means,
        scales=values(3, low=0.005, high=0.05),
        quats=quats / quats.norm(dim=-1, keepdim=True),
        opacities=values(low=0.1, high=0.9),
        colors=values(3),
    )


def everywhere(pixels: PixelGaussians) -> torch.Tensor:
    return torch.ones(pixels.opacities.shape[1:], dtype=torch.bool)


def test_every_point_lands_on_the_middle_of_its_pixel():
    focal = 93.0
    change = camera_change(focal, BOX, SHOWN, 128)
    row, column, depth = 37, 11, 2.7  # the network's pixels are integer indices
    x, y = ((i - side / 2) / focal * depth for i, side in ((column, SHOWN[1]), (row, SHOWN[0])))
    projected = intrinsics(128).double() @ change @ torch.tensor([x, y, depth], dtype=torch.float64)
    u, v, z = projected.tolist()
    assert z == pytest.approx(depth)
    assert u / z == pytest.approx(BOX.left + (column + 0.5) * BOX.width / SHOWN[1], abs=1e-4)
    assert v / z == pytest.approx(BOX.top + (row + 0.5) * BOX.height / SHOWN[0], abs=1e-4)


def test_shapes_follow_the_change_of_camera():
    """Σ' = A R diag(s²) Rᵀ Aᵀ, and the Gaussians that are made have that covariance."""
    pixels = pixel_gaussians()
    change = camera_change(60.0, BOX, SHOWN, 128)
    splats = in_reference_camera(pixels, 60.0, change, everywhere(pixels))
    rotations = rotation_matrices(pixels.quats)
    expected = change @ rotations @ torch.diag_embed(pixels.scales**2) @ rotations.mT @ change.T
    assert torch.allclose(splats.covariances, expected, rtol=1e-9, atol=0)
    first = (slice(1),) * 3
    one = Splats(
        means=splats.means[first],
        covariances=splats.covariances[first],
        opacities=splats.opacities[first],
        colors=splats.colors[first],
        pixel_area=0.0,
    )
    alone = merged(one, 1)
    rotation = rotation_matrices(alone.quats.double())
    made = rotation @ torch.diag_embed(alone.scales.double() ** 2) @ rotation.mT
    assert (made[0] - expected[0, 0, 0]).norm() < 1e-5 * expected[0, 0, 0].norm()
    assert alone.opacities.item() == pytest.approx(splats.opacities[0, 0, 0].item(), rel=1e-5)


def test_what_cannot_be_shown_is_left_out():
    pixels = pixel_gaussians()
    seen = everywhere(pixels)
    seen[0, 7] = False
    pixels.means[0, 0, 0, 1] = math.nan
    pixels.means[0, 0, 1, 2] = -1
    pixels.scales[0, 0, 2, 0] = 0.2 * pixels.means[0, 0, 2, 2]
    pixels.scales[0, 0, 3, 0] = math.inf
    pixels.quats[0, 0, 4] *= 0.5  # the network's own was shorter than 1e-6
    pixels.opacities[0, 0, 5] = 0.001
    pixels.colors[0, 0, 6, 0] = math.nan
    splats = in_reference_camera(pixels, 60.0, torch.eye(3, dtype=torch.float64), seen)
    assert (splats.opacities[0, 0, :8] == 0).all()
    assert (splats.opacities > 0).sum() == 2 * 8 * 12 - 9
    made = merged(splats, 1000)
    assert all(torch.isfinite(value).all() for value in made.state().values())


def plane(
    side: int, views: int = 2, *, depth: float = 2.0, sigma: float = 1.0, opacity: float = 0.2
) -> Splats:
    """Two views of a plane that faces a camera, one Gaussian per pixel."""
    pixel = depth / side
    rows, columns = torch.meshgrid(*(torch.arange(side).double() - side / 2,) * 2, indexing="ij")
    means = torch.stack([columns * pixel, rows * pixel, torch.full_like(rows, depth)], -1)
    covariance = torch.diag(torch.tensor([1, 1, 0.01], dtype=torch.float64) * (sigma * pixel) ** 2)
    grid = (2, side, side)
    return Splats(
        means.expand(*grid, 3).clone(),
        covariance.expand(*grid, 3, 3).clone(),
        torch.full(grid, opacity, dtype=torch.float64),
        torch.rand((*grid, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64),
        pixel_area=1 / side**2,
    )


def test_cells_keep_mean_covariance_colour_and_thickness():
    splats = plane(4)
    made = merged(splats, 4)
    assert len(made) == 4
    corner = splats.means[:, :2, :2].reshape(-1, 3).numpy()
    assert np.allclose(made.means[0], corner.mean(0), atol=1e-6)
    covariance = splats.covariances[0, 0, 0].numpy() + np.cov(corner.T, bias=True)
    assert np.allclose(np.sort(made.scales[0]), np.sort(np.sqrt(np.diag(covariance))), rtol=1e-5)
    assert np.allclose(made.colors[0], splats.colors[:, :2, :2].reshape(-1, 3).mean(0), atol=1e-6)
    # 8 members of -log(1 - 0.2) each on an area that has grown by the spread
    growth = covariance[0, 0] / splats.covariances[0, 0, 0, 0, 0].item()
    assert made.opacities[0].item() == pytest.approx(1 - 0.8 ** (8 / growth), rel=1e-3)


def test_full_cells_close_up_and_opacity_stays_below_one():
    made = merged(plane(8, sigma=0.1, opacity=0.95), 4)
    assert len(made) == 4
    assert np.allclose(made.scales.sort(-1).values[:, 1:], 0.5 * 4 * 2.0 / 8, rtol=1e-5)
    assert made.opacities.max() <= MOST_OPACITY + 1e-6


def test_an_edge_makes_two_layers_and_nothing_between():
    splats = plane(4)
    splats.means[:, :, 1] *= 0.5  # the second column lies half as far away
    made = merged(splats, 6)
    depths = made.means[:, 2].sort().values
    assert torch.allclose(depths, torch.tensor([1.0, 1.0, 2.0, 2.0, 2.0, 2.0]))


def test_odd_sides_and_empty_cells():
    splats = plane(5)
    splats.opacities[:, :2, :2] = 0
    made = merged(splats, 7)
    assert len(made) == 8  # 3 x 3 cells of 2 x 2, but for the empty one
    assert len(merged(plane(5), 1)) == 1


def test_depths_stay_between_near_and_far_and_keep_their_pixel():
    gaussians = Gaussians(
        means=torch.tensor([[0.1, 0.2, 0.05], [1.0, -2.0, 3.0], [30.0, 10.0, 200.0]]),
        quats=torch.tensor([[1.0, 0, 0, 0]]).expand(3, 4),
        scales=torch.full((3, 3), 0.01),
        opacities=torch.ones(3),
        colors=torch.ones(3, 3),
    )
    world = scaled(gaussians, 0.5)
    assert torch.allclose(world.means[:, 2], torch.tensor([NEAR, 1.5, FAR]))
    slopes = gaussians.means[:, :2] / gaussians.means[:, 2:]
    assert torch.allclose(world.means[:, :2] / world.means[:, 2:], slopes)
    ratio = world.means[:, 2] / gaussians.means[:, 2]
    assert torch.allclose(world.scales, 0.01 * ratio[:, None].expand(3, 3))


def test_the_focal_length_is_found_among_outliers():
    random = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.arange(30) - 15, np.arange(40) - 20, indexing="ij")
    z = random.uniform(1, 3, rows.shape)
    points = np.stack([columns / 55 * z, rows / 55 * z, z], -1)
    assert weiszfeld_focal(torch.from_numpy(points)) == pytest.approx(55, rel=1e-6)
    outliers = random.random(rows.shape) < 0.05
    points[outliers, :2] += random.uniform(-1, 1, (outliers.sum(), 2))
    assert weiszfeld_focal(torch.from_numpy(points)) == pytest.approx(55, rel=0.02)
    points[0, 0] = np.nan
    assert weiszfeld_focal(torch.from_numpy(points)) == pytest.approx(55, rel=0.02)
    assert math.isnan(weiszfeld_focal(torch.full((4, 4, 3), math.nan)))


def test_pictures_are_cut_to_what_is_seen_and_sized_in_tokens():
    rgba = torch.zeros(128, 128, 4)
    rgba[BOX.top : BOX.top + BOX.height, BOX.left : BOX.left + BOX.width] = torch.tensor([0.2, 0.4, 0.6, 1.0])
    box = Box.around(rgba[..., 3] > 0.5)
    assert box == BOX
    assert box.shown_size() == (272, 512)
    assert Box(0, 0, 3, 512).shown_size() == (16, 512)
    rgba[30:40, 30:40] = torch.tensor([1.0, 0.0, 0.0, 0.0])  # unseen: its colour says nothing
    picture = shown_picture(rgba, box, 64)
    assert picture.shape == (3, 32, 64)
    assert torch.allclose(picture, torch.tensor([0.2, 0.4, 0.6])[:, None, None].expand(3, 32, 64), atol=1e-2)
    assert resized(torch.rand(9, 7, 3), 16, 32).shape == (16, 32, 3)
