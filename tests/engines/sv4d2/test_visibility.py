"""Visibility weights against planes and spheres whose normals are known."""

import math

import numpy as np
import pytest
import torch

from ar4d.cameras import orbit
from ar4d.engines.sv4d2.visibility import facing_ratio, visibility
from tests.support.two_sided import two_sided

SIZE = 32


@pytest.mark.parametrize("tilt_deg", [0.0, 30.0, 60.0, -45.0])
def test_a_plane_at_an_angle_has_its_cosine(tilt_deg):
    """z = z₀ + x tan θ: n = (sin θ, 0, -cos θ) everywhere, so v·n is known in every pixel."""
    camera = orbit(0.0, size=SIZE)
    K = camera.Ks[0].double().numpy()
    us, vs = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    x, y = (us - K[0, 2]) / K[0, 0], (vs - K[1, 2]) / K[1, 1]
    slope = math.tan(math.radians(tilt_deg))
    depth = 1.5 / (1 - x * slope)
    rays = np.stack([x, y, np.ones_like(x)], -1)
    normal = np.array([math.sin(math.radians(tilt_deg)), 0.0, -math.cos(math.radians(tilt_deg))])
    expected = (-rays / np.linalg.norm(rays, axis=-1, keepdims=True)) @ normal
    made = facing_ratio(torch.from_numpy(depth).float()[None], camera.Ks)[0].numpy()
    inner = slice(1, -1)  # at the border one neighbour is missing
    np.testing.assert_allclose(made[inner, inner], expected.clip(0, 1)[inner, inner], atol=2e-3)


def test_a_sphere_fades_to_its_rim():
    camera = orbit(0.0, size=128)
    K = camera.Ks[0].double()
    steps = torch.arange(128, dtype=torch.float64) + 0.5
    y, x = torch.meshgrid((steps - K[1, 2]) / K[1, 1], (steps - K[0, 2]) / K[0, 0], indexing="ij")
    rays = torch.stack([x, y, torch.ones_like(x)], -1)
    radius, centre = 0.5, torch.tensor([0.0, 0.0, 1.5], dtype=torch.float64)
    a, b = rays.square().sum(-1), rays @ centre
    inside = b.square() - a * (centre.square().sum() - radius**2)
    hit = inside > 0
    z = (b - inside.clamp_min(0).sqrt()) / a
    points = rays * z[..., None]
    normal = (points - centre) / radius
    expected = -(normal * points / points.norm(dim=-1, keepdim=True)).sum(-1)
    made = facing_ratio(torch.where(hit, z, 2.0).float()[None], camera.Ks)[0].double()
    deep = hit & (expected > 0.4)  # well inside the rim, where all neighbours are on the sphere
    assert int(deep.sum()) > 1000
    assert float((made - expected)[deep].abs().max()) < 0.05


def test_weights_have_a_floor_on_the_object_and_are_1_around_it():
    object_ = two_sided()
    W = visibility(object_, orbit([0.0, 60.0], size=48), floor=0.3)
    assert W.shape == (2, 48, 48)
    assert float(W.min()) >= 0.3
    assert bool((W[:, 0] == 1).all())  # the corners show nothing
    assert float(W[0, 20:28, 20:28].mean()) > 0.8  # the sheet faces camera 0 …
    assert float(W[1, 20:28, 20:28].mean()) < 0.75  # … and turns away from the other
