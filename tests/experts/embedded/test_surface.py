"""Gaussians from maps of four orthogonal views."""

import pytest
import torch

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, RADIUS, orbit
from ar4d.experts.embedded.surface import (
    OBJECT_ALPHA,
    OPACITY,
    ViewMaps,
    gaussians_from_views,
)
from ar4d.rendering import render

SIZE = 64
NO_PLANE = torch.zeros(4)


def ball(alpha: float) -> ViewMaps:
    """A ball seen by four cameras, of which all but the first have the given alpha."""
    line = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    away = (line[:, None].square() + line.square()).sqrt() / 0.5
    inside = away < 1
    depth = RADIUS - 0.3 * (1 - away.clamp_max(1).square()).sqrt()
    sure = torch.tensor([1.0, alpha, alpha, alpha])[:, None, None]
    return ViewMaps(sure * inside, depth.expand(4, -1, -1), torch.full((4, 3, SIZE, SIZE), 0.2))


@pytest.mark.parametrize("alpha", [0.7, 1.0])
def test_all_points_are_opaque_so_that_no_side_shines_through_another(alpha):
    gaussians = gaussians_from_views(ball(alpha), NO_PLANE, 0.0)
    assert (gaussians.opacities == OPACITY).all()
    assert render(gaussians, orbit(ORTHOGONAL_AZIMUTHS_DEG, size=SIZE)).alpha[:, 32, 32].min() > 0.9


def test_unlikely_points_are_dropped():
    maps = ball(OBJECT_ALPHA - 0.05)
    gaussians = gaussians_from_views(maps, NO_PLANE, 0.0)
    assert len(gaussians) == int((maps.alpha[0] > OBJECT_ALPHA).sum())
