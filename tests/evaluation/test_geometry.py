"""Distances between moving surfaces, their alignment, and agreement on depth."""

import math

import numpy as np
import pytest
import torch

from ar4d.cameras import Cameras, orbit
from ar4d.evaluation import geometry
from ar4d.rendering import Rendering


@pytest.fixture
def surface() -> torch.Tensor:
    """A bent, lopsided sheet that rises over three times, [3, N, 3]."""
    u, v = torch.meshgrid(torch.linspace(-1, 1, 15), torch.linspace(-0.6, 0.6, 12), indexing="ij")
    heights = [0.4 * u**2 + 0.2 * v * (1 + u) + 0.15 * k for k in range(3)]
    return torch.stack([torch.stack([u, v, h], -1).reshape(-1, 3) for h in heights]).double()


def turned(points: torch.Tensor, degrees: float, scale: float, shift: float) -> torch.Tensor:
    a = math.radians(degrees)
    rotation = torch.tensor([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    return scale * points @ rotation.double().T + shift


def test_a_similarity_is_found_again(surface):
    moved = turned(surface[0], 8, 1.1, 0.03)
    back = geometry.align(moved, surface[0])
    torch.testing.assert_close(back(moved), surface[0], atol=1e-6, rtol=0)
    assert back.scale == pytest.approx(1 / 1.1, abs=1e-6)


def test_matched_points_give_the_exact_similarity_and_no_reflection(surface):
    source = surface[0].numpy()
    similarity = geometry.fitted_similarity(source, turned(surface[0], 130, 0.7, -2).numpy())
    np.testing.assert_allclose(similarity(surface[0]), turned(surface[0], 130, 0.7, -2), atol=1e-9)
    mirrored = geometry.fitted_similarity(source, source * [1, 1, -1])
    assert np.linalg.det(mirrored.rotation) == pytest.approx(1)


def test_what_each_chamfer_distance_sees(surface):
    same = turned(surface, 5, 1.05, 0.02)
    for distance in (geometry.chamfer_3d, geometry.chamfer_4d, geometry.motion_chamfer):
        assert distance(same, surface) == pytest.approx(0, abs=1e-6)
    still = surface[:1].expand(3, -1, -1)  # the shape is right at all times, the motion is missing
    assert geometry.chamfer_3d(still, surface) == pytest.approx(0, abs=1e-6)
    assert geometry.chamfer_4d(still, surface) > 0.1
    assert geometry.motion_chamfer(still, surface) == pytest.approx(2 * (0 + 0.15 + 0.3) / 3, abs=1e-6)


def test_an_empty_set_has_no_distance(surface):
    assert math.isnan(geometry.chamfer(surface[0][:0], surface[0]))


def plane(camera: Cameras, shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Depth and alpha of the plane z = `shift`, which every camera but one at 90° sees."""
    size = camera.width
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    pixels = torch.stack([columns + 0.5, rows + 0.5, torch.ones_like(rows) * 1.0], -1)
    rotation, translation = camera.viewmats[0, :3, :3], camera.viewmats[0, :3, 3]
    rays = (pixels @ torch.linalg.inv(camera.Ks[0]).T) @ rotation
    centre = -translation @ rotation
    depth = (shift - centre[2]) / rays[..., 2]
    hit = centre + depth[..., None] * rays
    return depth, (hit[..., :2].abs().amax(-1) < 0.4).float()


def views(shifts: tuple[float, ...]) -> tuple[Rendering, Cameras]:
    cameras = [orbit(azimuth, size=32) for azimuth in (-20.0, 0.0, 25.0)]
    depths, alphas = zip(*map(plane, cameras, shifts), strict=True)
    alpha = torch.stack(alphas)
    joined = Cameras(torch.cat([c.viewmats for c in cameras]), torch.cat([c.Ks for c in cameras]), 32, 32)
    return Rendering(torch.zeros(3, 32, 32, 3), torch.stack(depths) * alpha, alpha), joined


def test_one_surface_seen_from_three_sides_agrees():
    assert geometry.depth_agreement(*views((0, 0, 0))) > 0.9


def test_a_view_that_sees_another_surface_does_not_agree():
    assert geometry.depth_agreement(*views((0, 0.2, 0))) < 0.7


def test_points_come_back_from_a_depth_map():
    camera = orbit(30.0, 10.0, size=16)
    depth, alpha = plane(camera, 0.1)
    points = geometry.unprojected(depth, alpha > 0, camera)
    assert len(points) > 10
    torch.testing.assert_close(points[:, 2], torch.full((len(points),), 0.1), atol=1e-5, rtol=0)
