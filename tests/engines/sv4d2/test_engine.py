"""The engine from end to end, on a toy object with true views."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ar4d.cameras import orbit
from ar4d.engines.sv4d2.pipeline import SV4D2
from ar4d.engines.sv4d2.settings import (
    DynamicSettings,
    LossSettings,
    SecondStageSettings,
    StaticSettings,
    SV4D2Settings,
)
from ar4d.errors import UserError
from ar4d.events import Finished, FrameFinished, Planned, StageStarted, ViewsImagined, Warned
from ar4d.lifting import check, lift_events
from ar4d.losses import psnr
from ar4d.rendering import render
from ar4d.settings import FieldSettings
from ar4d.views import ViewGrid
from tests.support.two_sided import RecordingExpert, clip_of, two_sided, with_rig
from tests.support.visual_hull import TrueViews

RIG = with_rig(size=32, pseudo_size=32, elevation_deg=0.0)
FRAMES = [two_sided(front=(0.03 * k, 0, 0), back=(-0.03 * k, 0, 0)) for k in range(4)]
SETTINGS = SV4D2Settings(
    size=32,
    view_size=32,
    gaussians=100,
    device="cpu",
    static=StaticSettings(iterations=40),
    dynamic=DynamicSettings(
        iterations=160,
        frames_per_step=1,
        field=FieldSettings(kind="node-table", nodes=36, lr=6e-3, lr_final=6e-4),
    ),
    second_stage=SecondStageSettings(enabled=False, iterations=20),
)


class Start(RecordingExpert):
    """An expert that knows the front and puts the back in a wrong place."""

    def lift(self, rgba, budget, elevation_deg=0.0):
        return two_sided(back=(0.08, 0.05, 0.1))


class Repainting(TrueViews):
    """True views the second time, and pale ones at first."""

    drawn: ViewGrid | None = None
    noise = 0.0

    def imagine(self, clip, frozen, elevation_deg, seed):
        grid = super().imagine(clip, frozen, elevation_deg, seed)
        rgba = grid.rgba.clone()
        rgba[1:, ..., :3] = rgba[1:, ..., :3] * 0.5 + 0.5
        return ViewGrid(rgba, grid.azimuths_deg, grid.elevations_deg, grid.trust)

    def draw_over(self, clip, views, noise, seed):
        self.drawn, self.noise = views, noise
        return self.grid()


def lifted(settings=SETTINGS, source=None, frames=FRAMES, finished=()):
    experts = {
        "image_to_gaussians": Start(frames, RIG),
        "clip_to_views": source or TrueViews(frames, rig=RIG),
    }
    return list(lift_events(clip_of(frames, RIG), settings, finished, experts=experts))


def asset_of(events):
    assert isinstance(events[-1], Finished)
    assert events[-1].asset is not None
    return events[-1].asset


def clip_psnr(events) -> float:
    """The worst frame at the clip's own view."""
    assert isinstance(events[-1], Finished)
    return min(events[-1].psnr)


def side_psnr(asset, k: int = 3, azimuth_deg: float = 140.0) -> float:
    """Of a frame from a side that neither the clip nor a view shows."""
    camera = orbit(azimuth_deg, 0.0, size=32)
    made = asset.at(k / 3)
    return psnr(render(made, camera).rgb, render(FRAMES[k], camera).rgb).item()


@pytest.fixture(scope="module")
def whole():
    return lifted()


def test_its_stages_are_those_of_the_plan(whole):
    assert isinstance(whole[0], Planned)
    planned = [stage.name for stage in whole[0].stages]
    assert [event.stage for event in whole if isinstance(event, StageStarted)] == planned
    assert sum(isinstance(event, ViewsImagined) for event in whole) == 1


def test_every_frame_is_finished_once_and_in_order(whole):
    finished = [event for event in whole if isinstance(event, FrameFinished)]
    assert [event.frame_index for event in finished] == [0, 1, 2, 3]
    assert finished[0].stage == "initialize"


def test_true_views_correct_the_back_and_its_motion(whole):
    asset = asset_of(whole)
    start = two_sided(back=(0.08, 0.05, 0.1))
    camera = orbit(140.0, 0.0, size=32)
    before = psnr(render(start, camera).rgb, render(FRAMES[3], camera).rgb).item()
    assert side_psnr(asset) > before + 4
    assert clip_psnr(whole) > 22


def test_without_views_the_back_stays_wrong(whole):
    only_clip = TrueViews(FRAMES, (0.0,), RIG)
    assert side_psnr(asset_of(lifted(source=only_clip))) < side_psnr(asset_of(whole)) - 3


def test_the_same_seed_gives_the_same_and_finished_frames_are_not_reported_again(whole):
    again = lifted(finished=[FRAMES[0], FRAMES[1]])
    assert [e.frame_index for e in again if isinstance(e, FrameFinished)] == [2, 3]
    a, b = asset_of(whole).at(0.7), asset_of(again).at(0.7)
    assert torch.equal(a.means, b.means)
    assert torch.equal(a.colors, b.colors)


@pytest.mark.parametrize(
    "changed",
    [
        replace(SETTINGS, static=replace(SETTINGS.static, enabled=False)),
        replace(SETTINGS, dynamic=replace(SETTINGS.dynamic, progressive_frames=False)),
        replace(SETTINGS, dynamic=replace(SETTINGS.dynamic, orthogonal_views=False)),
        replace(SETTINGS, loss=replace(LossSettings(), visibility=False)),
        replace(SETTINGS, loss=replace(LossSettings(), rigidity=1.0)),
        replace(SETTINGS, dynamic=replace(SETTINGS.dynamic, view_offsets=True)),
    ],
    ids=["static", "progressive", "orthogonal", "visibility", "rigidity", "view-offsets"],
)
def test_every_switch_changes_the_asset_and_leaves_it_whole(changed):
    settings = replace(changed, dynamic=replace(changed.dynamic, iterations=20))
    usual = replace(SETTINGS, dynamic=replace(SETTINGS.dynamic, iterations=20))
    around = tuple(range(0, 360, 45))
    a, b = (asset_of(lifted(s, TrueViews(FRAMES, around, RIG))).at(1.0) for s in (settings, usual))
    assert not torch.equal(a.means, b.means)
    assert bool(torch.isfinite(a.means).all())


def test_the_second_stage_draws_over_the_renders_and_fits_again():
    settings = replace(SETTINGS, second_stage=replace(SETTINGS.second_stage, enabled=True, iterations=60))
    source = Repainting(FRAMES, rig=RIG)
    first = asset_of(lifted(source=source))
    events = lifted(settings, source)
    assert [e.stage for e in events if isinstance(e, StageStarted)][-2:] == ["imagine-again", "refine"]
    assert source.noise == settings.second_stage.noise
    assert source.drawn is not None
    assert source.drawn.rgba.shape == (4, 4, 32, 32, 4)
    assert float(source.drawn.rgba[1:, ..., 3].max()) > 0.8  # renders of the object, not blanks
    assert side_psnr(asset_of(events)) > side_psnr(first) + 1


def test_an_expert_that_cannot_draw_over_is_named():
    settings = replace(SETTINGS, second_stage=replace(SETTINGS.second_stage, enabled=True))
    said = [event.message for event in lifted(settings) if isinstance(event, Warned)]
    assert any('"true-views" cannot draw over renders' in message for message in said)


def test_a_view_of_something_else_is_left_out():
    class OneStranger(TrueViews):
        def imagine(self, clip, frozen, elevation_deg, seed):
            grid = super().imagine(clip, frozen, elevation_deg, seed)
            rgba = grid.rgba.clone()
            rgba[2] = 0
            rgba[2, :, :6, :6] = 1
            return ViewGrid(rgba, grid.azimuths_deg, grid.elevations_deg, grid.trust)

    events = lifted(source=OneStranger(FRAMES, rig=RIG))
    said = [event.message for event in events if isinstance(event, Warned)]
    assert [message for message in said if "from 180° was left out" in message]
    assert clip_psnr(events) > 22


def test_one_frame_is_an_asset_of_one_frame():
    events = lifted(frames=FRAMES[:1])
    assert asset_of(events).num_frames == 1


def test_a_scene_is_refused_before_anything_is_made():
    with pytest.raises(UserError, match="sv4d2 makes objects"):
        check(replace(SETTINGS, kind="scene"))
    assert SV4D2().name == "sv4d2"
