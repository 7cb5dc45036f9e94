"""The field of view of views whose source does not state it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ar4d.cameras import FOV_Y_DEG, RADIUS, orbit, same_size_radius
from ar4d.engines.sv4d2.field_of_view import FIELDS_DEG, with_best_fov
from ar4d.engines.sv4d2.pictures import Pictures
from ar4d.engines.sv4d2.settings import StaticSettings, SV4D2Settings
from ar4d.errors import UserError
from ar4d.events import Progress, Warned
from ar4d.images import unpremultiply
from ar4d.lifting import check
from ar4d.rendering import render
from ar4d.views import ViewGrid
from tests.support.two_sided import two_sided

SIZE = 32
AZIMUTHS_DEG = (0.0, 60.0, 120.0, 180.0, 240.0, 300.0)
SETTINGS = SV4D2Settings(
    size=SIZE, view_size=SIZE, gaussians=100, device="cpu", static=StaticSettings(iterations=160)
)


def grid_at(fov_y_deg: float) -> ViewGrid:
    """True views of the toy, the first from the clip's camera and the others with a field of view."""
    rows = []
    for azimuth in AZIMUTHS_DEG:
        fov = FOV_Y_DEG if azimuth == 0 else fov_y_deg
        camera = orbit(azimuth, size=SIZE, radius=same_size_radius(fov), fov_y_deg=fov)
        with torch.no_grad():
            view = render(two_sided(), camera, background=None)
        rows.append(unpremultiply(torch.cat([view.rgb, view.alpha[..., None]], -1)))
    count = len(AZIMUTHS_DEG)
    return ViewGrid(torch.stack(rows), torch.tensor(AZIMUTHS_DEG), torch.zeros(count), torch.ones(count, 1))


def test_the_middle_of_the_object_keeps_its_size():
    for fov in (20.0, 33.8, 90.0):
        half = same_size_radius(fov) * math.tan(math.radians(fov) / 2)
        assert half == pytest.approx(RADIUS * math.tan(math.radians(FOV_Y_DEG) / 2))
    assert same_size_radius(FOV_Y_DEG) == RADIUS


@pytest.mark.parametrize("true_fov", FIELDS_DEG)
def test_the_views_own_field_of_view_is_found(true_fov: float):
    grid = grid_at(true_fov)
    given = Pictures.of(grid.rgba[0], grid, SIZE, 0.0)
    events, found = [], given
    finding = with_best_fov(two_sided(), given, SETTINGS)
    while True:
        try:
            events.append(next(finding))
        except StopIteration as stop:
            found = stop.value
            break
    assert found.view_fov_deg == true_fov
    assert [e.done for e in events if isinstance(e, Progress)] == [1, 2, 3]
    said = [e.message for e in events if isinstance(e, Warned)]
    assert len(said) == (true_fov != FOV_Y_DEG)
    assert all(f"{true_fov:g}°" in message for message in said)


def test_views_are_seen_by_cameras_with_that_field_of_view_and_the_clip_is_not():
    grid = grid_at(33.8)
    seen = Pictures.of(grid.rgba[0], grid, SIZE, 0.0, 33.8)
    view = render(two_sided(), seen.view_cameras([0, 2])).rgb
    torch.testing.assert_close(view, seen.view_rgb[[0, 2], 0], atol=2e-3, rtol=0)
    clip = render(two_sided(), seen.clip_camera()).rgb[0]
    torch.testing.assert_close(clip, seen.clip_rgb[0], atol=2e-3, rtol=0)


@pytest.mark.parametrize("wrong", [0, 180, "wide"])
def test_other_values_are_refused(wrong: float | str):
    with pytest.raises(UserError, match="view_fov"):
        check(replace(SETTINGS, view_fov=wrong))
