"""Gaussians from maps of four orthogonal views."""

import pytest
import torch

from ar4d.cameras import RADIUS, orbit
from ar4d.experts.embedded import surface
from ar4d.experts.embedded.geometry import rays, sample_view
from ar4d.experts.embedded.surface import (
    CERTAIN_ALPHA,
    MIN_OPACITY_SHARE,
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


@pytest.mark.parametrize("alpha", [0.7, 0.8, 0.9, 1.0])
def test_a_point_is_as_opaque_as_its_own_view_is_sure_of_it(alpha):
    maps = ball(alpha)
    gaussians = gaussians_from_views(maps, NO_PLANE, 0.0)
    certainty = min((alpha - OBJECT_ALPHA) / (CERTAIN_ALPHA - OBJECT_ALPHA), 1.0)
    expected = OPACITY * (MIN_OPACITY_SHARE + (1 - MIN_OPACITY_SHARE) * certainty)
    shown = int((maps.alpha[0] > OBJECT_ALPHA).sum())  # the reference view's, which are certain
    torch.testing.assert_close(gaussians.opacities[:shown], torch.full((shown,), OPACITY))
    others = gaussians.opacities[shown:]
    torch.testing.assert_close(others, torch.full_like(others, expected), atol=1e-5, rtol=0)


def test_a_sure_back_hides_the_front_even_if_the_sides_are_unsure():
    maps = ball(1.0)
    maps.alpha[1::2] *= 0.7
    maps.rgb[0], maps.rgb[2] = 0.9, 0.1
    view = render(gaussians_from_views(maps, NO_PLANE, 0.0), orbit(180.0, size=SIZE))
    assert view.alpha[0, 32, 32] > 0.9
    assert view.rgb[0, 32, 32].max() < 0.2


def test_unlikely_points_are_dropped():
    maps = ball(OBJECT_ALPHA - 0.05)
    gaussians = gaussians_from_views(maps, NO_PLANE, 0.0)
    assert len(gaussians) == int((maps.alpha[0] > OBJECT_ALPHA).sum())


def test_a_point_moves_to_the_nearest_place_where_the_outlines_agree():
    """A ball whose surface one view has too near: its points move into the other outlines, or end."""
    maps = ball(1.0)
    shifted = maps.depth.clone()
    shifted[1] -= 0.17
    moved = surface._snap_to_outlines(ViewMaps(maps.alpha, shifted, maps.rgb))
    origins, directions = rays(SIZE)
    checked = 0
    for y, x in (maps.alpha[1] > OBJECT_ALPHA).nonzero()[::97].tolist():
        agreed = None
        for offset in surface_offsets():  # nearest first, one after another
            point = origins[1, 0, 0] + directions[1, y, x] * (shifted[1, y, x] + offset)
            others = [sample_view(maps.alpha[u][None], point[None, None], u) for u in (0, 2, 3)]
            if torch.stack(others).min() > surface.AGREEMENT_ALPHA:
                agreed = point
                break
        assert bool(moved.mask[1, y, x]) == (agreed is not None)
        if agreed is not None:
            torch.testing.assert_close(moved.points[1, y, x], agreed)
            checked += bool(offset != 0)
    assert checked > 3


def surface_offsets() -> torch.Tensor:
    steps = 2 * surface.SEARCH_STEPS + 1
    offsets = torch.linspace(-surface.SEARCH_RANGE, surface.SEARCH_RANGE, steps)
    return offsets[offsets.abs().argsort(stable=True)]
