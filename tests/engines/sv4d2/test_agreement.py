"""Which generated views are left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ar4d.engines.sv4d2.agreement import leave_out_strangers, mask_iou
from ar4d.engines.sv4d2.pictures import Pictures
from ar4d.events import Event, Warned
from ar4d.gaussians import Gaussians
from ar4d.views import ViewGrid
from tests.support.two_sided import RIG, pictures, two_sided
from tests.support.visual_hull import TrueViews

LEAST = 0.6


def seen(stranger: int | None = None) -> Pictures:
    """The clip and three true views; one of them may show a corner of another picture instead."""
    rgba = (grid := TrueViews([two_sided()]).grid()).rgba.clone()
    if stranger is not None:
        rgba[1 + stranger] = 0
        rgba[1 + stranger, :, :6, :6] = 1
    grid = ViewGrid(rgba, grid.azimuths_deg, grid.elevations_deg, grid.trust)
    return Pictures.of(pictures([two_sided()]), grid, RIG.size, RIG.elevation_deg)


def sorted_out(gaussians: Gaussians, given: Pictures) -> tuple[list[Event], Pictures]:
    events, sorting = [], leave_out_strangers(gaussians, given, LEAST)
    while True:
        try:
            events.append(next(sorting))
        except StopIteration as stop:
            return events, stop.value


def shrunk() -> Gaussians:
    """A fit that is too small from every side, as thin things are after few steps."""
    whole = two_sided()
    return replace(whole, means=0.6 * whole.means)


def test_an_outline_is_compared_by_intersection_over_union():
    given = seen()
    cameras = given.view_cameras(range(3))
    assert mask_iou(two_sided(), cameras, given.view_alpha[:, 0]) == pytest.approx([1, 1, 1], abs=0.02)
    nothing = torch.zeros_like(given.view_alpha[:, 0])
    assert mask_iou(two_sided(), cameras, nothing) == [0, 0, 0]


def test_a_fit_that_differs_from_all_views_alike_costs_none_of_them():
    given = seen()
    ious = mask_iou(shrunk(), given.view_cameras(range(3)), given.view_alpha[:, 0])
    assert max(ious) < LEAST  # so that an absolute bound would leave out all of them
    events, kept = sorted_out(shrunk(), given)
    assert events == []
    assert torch.equal(kept.trust, given.trust)


@pytest.mark.parametrize("gaussians", [two_sided(), shrunk()], ids=["right", "too small"])
def test_a_view_of_something_else_is_left_out_and_named(gaussians: Gaussians):
    events, kept = sorted_out(gaussians, seen(stranger=1))
    assert kept.trust[:, 0].tolist() == [1, 0, 1]
    (said,) = events
    assert isinstance(said, Warned)
    assert said.message.startswith("The view from 180° was left out")


def test_a_clip_without_views_is_left_as_it_is():
    frames = [two_sided()]
    alone = TrueViews(frames, (0.0,)).grid()
    given = Pictures.of(pictures(frames), alone, RIG.size, RIG.elevation_deg)
    assert sorted_out(two_sided(), given) == ([], given)
