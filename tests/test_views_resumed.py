"""Views that an expert draws in passes: kept as they come, and read by a resumed run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ar4d.clip import ClipSettings
from ar4d.errors import UserError
from ar4d.events import ViewsDrawn, ViewsImagined
from ar4d.experts import registry
from ar4d.experts.played import BegunViews
from ar4d.experts.registry import Entry
from ar4d.runs import Recipe, Run
from ar4d.settings import ViewSettings
from ar4d.views import ViewGrid, load_begun, save_begun
from tests.engines.ar4d.test_switches import SETTINGS
from tests.support.plugins import registries as registries  # a fixture
from tests.support.two_sided import RecordingExpert, clip_of, two_sided, with_rig
from tests.support.visual_hull import TrueViews

RIG = with_rig(size=32, pseudo_size=16, elevation_deg=0.0)
FRAMES = [two_sided(front=(0.02 * k, 0, 0)) for k in range(4)]
PASS = 2  # frames at a time


class InPasses(TrueViews):
    """True views, some frames at a time; it can be made to fail after a pass."""

    name = "in-passes"
    can_continue = True

    def __init__(self, fail_after: int | None = None) -> None:
        super().__init__(FRAMES, rig=RIG)
        self.fail_after = fail_after
        self.drawn: list[int] = []
        self.on_views: Any = None
        self.on_progress: Any = None

    def imagine(self, clip, frozen, elevation_deg, seed, *, known: Tensor | None = None) -> ViewGrid:
        grid = self.grid()
        have = 0 if known is None else known.shape[1]
        for start in range(have, grid.num_frames, PASS):
            if self.fail_after is not None and start >= self.fail_after:
                raise UserError("The power failed.")
            self.drawn.append(start)
            if self.on_views is not None:
                self.on_views(range(start, start + PASS), grid.rgba[1:, start : start + PASS])
        if known is None:
            return grid
        rgba = torch.cat([grid.rgba[:1], torch.cat([known, grid.rgba[1:, have:]], dim=1)])
        return ViewGrid(rgba, grid.azimuths_deg, grid.elevations_deg, grid.trust)


def run_with(expert: InPasses, folder, registries) -> Run:
    known = RecordingExpert(FRAMES, RIG)
    roles = ("image_to_gaussians", "views_to_gaussians")
    for name, roles_of, made in (("in-passes", ("clip_to_views",), expert), ("recording", roles, known)):
        registry.register(Entry(name, roles_of, "a test's", lambda device: None, lambda device, e=made: e))
    settings = replace(SETTINGS, size=32, elevation_deg=0.0, views=ViewSettings(expert="in-passes"))
    if (folder / "run.json").exists():
        return Run.open(folder)
    return Run.create(folder, Recipe("toy", ClipSettings(), settings), clip_of(FRAMES, RIG))


def test_an_interrupted_run_goes_on_from_the_views_that_were_drawn(tmp_path, registries):
    events = []
    run = run_with(InPasses(fail_after=2), tmp_path / "run", registries)
    with pytest.raises(UserError, match="The power failed"):
        events.extend(run.work())
    begun = load_begun(tmp_path / "run" / "views")
    assert begun is not None
    assert begun[0] == (90.0, 180.0, 270.0)
    torch.testing.assert_close(begun[1], TrueViews(FRAMES, rig=RIG).grid().rgba[1:, :2], atol=1 / 500, rtol=0)

    again = InPasses()
    events = list(run_with(again, tmp_path / "run", registries).work())
    assert again.drawn == [2]
    drawn = [event for event in events if isinstance(event, ViewsDrawn)]
    assert [(event.start, event.num_frames) for event in drawn] == [(2, 2)]
    (imagined,) = [event for event in events if isinstance(event, ViewsImagined)]
    assert imagined.grid is not None
    torch.testing.assert_close(
        imagined.grid.rgba, TrueViews(FRAMES, rig=RIG).grid().rgba, atol=1 / 500, rtol=0
    )
    assert not (tmp_path / "run" / "views" / "begun.json").exists()  # they are complete


def test_an_expert_that_cannot_go_on_draws_all_of_them():
    begun = BegunViews((90.0, 180.0, 270.0), torch.zeros(3, 2, 32, 32, 4))
    plain, other = TrueViews(FRAMES, rig=RIG), InPasses()
    assert begun.continued_by(plain) is plain
    other.azimuths_deg = (0.0, 45.0, 90.0)
    assert begun.continued_by(other) is other


def test_what_was_begun_and_is_damaged_is_named(tmp_path):
    save_begun(tmp_path, (90.0,), 0, torch.zeros(1, 2, 8, 8, 4))
    (tmp_path / "01" / "0001.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"0001\.png cannot be read"):
        load_begun(tmp_path)
    (tmp_path / "begun.json").write_text("{")
    with pytest.raises(UserError, match=r"begun\.json is not a record of views"):
        load_begun(tmp_path)
    assert load_begun(tmp_path / "elsewhere") is None
