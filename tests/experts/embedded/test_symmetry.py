"""Planes of symmetry: reflection, and the sweep of the mirrored picture."""

import math

import numpy as np
import pytest
import torch

from ar4d.cameras import RADIUS
from ar4d.experts.embedded.geometry import rays, sample_view
from ar4d.experts.embedded.network import IN_SIZE, OUT_SIZE
from ar4d.experts.embedded.symmetry import (
    SWEEP_RANGE,
    SWEEP_STEPS,
    mirrored_sweep,
    normalize_planes,
    reflect,
    upright_plane,
)
from train.data import render_shapes
from train.data.examples import reorder_planes, reorder_views
from train.data.procedural.shapes import Part, rotation
from train.data.samples import Samples

SHADING = (np.array([0.0, 1, 0]), 0.7, 0.2)


def normal(azimuth_deg: float) -> np.ndarray:
    a = math.radians(azimuth_deg)
    return np.array([math.cos(a), 0.0, -math.sin(a)])


@pytest.mark.parametrize(("azimuth_deg", "offset"), [(0, 0.1), (33, -0.2), (90, 0.05), (-75, 0.3), (170, 0)])
def test_reflects_as_a_mirror_does(azimuth_deg, offset):
    points = np.random.default_rng(0).normal(size=(20, 3))
    n = normal(azimuth_deg)
    expected = points - 2 * (points @ n - offset)[:, None] * n
    plane = torch.tensor(upright_plane(azimuth_deg, offset), dtype=torch.float64)
    found = reflect(torch.from_numpy(points), plane)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(reflect(found, plane).numpy(), points, atol=1e-12)
    turned_round = upright_plane(azimuth_deg + 180, -offset)  # the same plane with the opposite normal
    np.testing.assert_allclose(turned_round, plane.numpy(), atol=1e-12)


def test_predicted_planes_are_normalized():
    true = torch.tensor([upright_plane(40, 0.2), upright_plane(-10, -0.1), (0.0, 0.0, 0.0, 0.0)])
    along = torch.tensor([[math.sin(math.radians(a)), math.cos(math.radians(a))] for a in (40, -10, 0)])
    guessed = torch.cat(
        [0.6 * true[:, :2], true[:, 2:] + 0.3 * along], 1
    )  # too short, and the foot off the normal
    torch.testing.assert_close(normalize_planes(guessed), true, atol=1e-6, rtol=0)


def beast(azimuth_deg: float) -> list[Part]:
    """A symmetric body with two horns that looks towards the azimuth."""
    turn = rotation(0, math.radians(azimuth_deg - 90), 0)  # it is built looking along +x
    colors, plain = np.array([[0.8, 0.3, 0.1]] * 2), np.zeros(3)
    parts = [((0, 0, 0), (0.4, 0.15, 0.1)), ((0.3, 0.2, 0.08), (0.03, 0.2, 0.03))]
    parts.append(((0.3, 0.2, -0.08), (0.03, 0.2, 0.03)))
    return [Part(turn @ np.array(c), turn, np.array(h), colors, plain) for c, h in parts]


@pytest.mark.parametrize("azimuth_deg", [20, 45, 110])
def test_the_mirrored_picture_is_a_view_from_twice_the_azimuth(azimuth_deg):
    front, _ = render_shapes.draw(beast(azimuth_deg), 0, 64, SHADING)
    other, _ = render_shapes.draw(beast(azimuth_deg), 2 * azimuth_deg, 64, SHADING)
    mirrored = front[:, ::-1].astype(int)
    assert np.abs(mirrored[..., 3] - other[..., 3]).mean() < 1
    wrong, _ = render_shapes.draw(beast(azimuth_deg), azimuth_deg, 64, SHADING)
    assert np.abs(mirrored[..., 3] - wrong[..., 3].astype(int)).mean() > 4


def test_the_sweep_covers_the_object_at_its_depth():
    """At the surface's true depth the mirrored picture covers the object, far from it it does not."""
    azimuth_deg = 40
    rgba, depth = render_shapes.draw(beast(azimuth_deg), 0, OUT_SIZE, SHADING)
    picture = torch.from_numpy(rgba).float().permute(2, 0, 1) / 255
    picture = torch.cat([picture[:3] * picture[3:], picture[3:]])
    planes = torch.tensor([upright_plane(azimuth_deg, 0.0), (0.0,) * 4])
    sweep = mirrored_sweep(torch.stack([picture, picture]), planes)
    assert not sweep[1].any()
    assert (sweep[0, -1] == 1).all()
    on = torch.from_numpy(depth > 0) & (picture[3] > 0.99)
    level = (torch.from_numpy(depth) - RADIUS + SWEEP_RANGE) / (2 * SWEEP_RANGE) * (SWEEP_STEPS - 1)
    at_surface = sweep[0, :SWEEP_STEPS].gather(0, level.round().long().clamp(0, SWEEP_STEPS - 1)[None])[0]
    assert at_surface[on].mean() > 0.8
    assert sweep[0, SWEEP_STEPS - 1][on].mean() < 0.1
    assert sweep[0, 0][on].mean() < 0.1


def test_a_sample_keeps_its_plane_when_it_is_turned_and_mirrored(tmp_path):
    render_shapes.main(["--out", str(tmp_path), "--samples", "7", "--seed", "3"])
    samples = Samples((tmp_path,), validation=False)
    symmetric = [k for k in range(len(samples)) if samples.planes[k].any()]
    assert 0 < len(symmetric) < len(samples)  # a plant has no plane
    origins, directions = rays(IN_SIZE)

    def agreement(way: torch.Tensor) -> float:
        """Share of surface points whose mirror image lies inside the picture, over all arrangements."""
        shares = []
        for k in symmetric:
            for roll in range(4):
                for mirror in (False, True):
                    order = torch.tensor([roll]), torch.tensor([mirror])
                    views, depth = (reorder_views(x[None], *order)[0] for x in samples.views(k, 0))
                    points = torch.cat(
                        [(origins[v] + directions[v] * depth[v][..., None])[depth[v] > 0] for v in range(4)]
                    )
                    twins = reflect(points, way * reorder_planes(samples.planes[k][None], *order)[0])
                    shares.append((sample_view(views[0, 3:], twins, 0)[0] > 0.5).float().mean().item())
        return sum(shares) / len(shares)

    right = agreement(torch.ones(4))
    assert right > 0.85
    assert agreement(torch.tensor([1.0, -1, 1, 1])) < right - 0.05
    assert agreement(torch.tensor([1.0, 1, -1, -1])) < right - 0.05
