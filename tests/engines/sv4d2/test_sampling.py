"""Which frames and which views a step looks at."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ar4d.engines.sv4d2.pictures import Pictures
from ar4d.engines.sv4d2.sampling import FrameSampler, newest_frame, view_rows
from ar4d.engines.sv4d2.settings import DynamicSettings
from ar4d.views import ViewGrid

OPTIONS = DynamicSettings(iterations=100, window=0.6)


def pictures(azimuths_deg, num_frames: int = 2) -> Pictures:
    azimuths = torch.tensor([0.0, *azimuths_deg])
    count = len(azimuths)
    rgba = torch.zeros(count, num_frames, 8, 8, 4)
    grid = ViewGrid(rgba, azimuths, torch.zeros(count), torch.ones(count, num_frames))
    return Pictures.of(rgba[0], grid, 8, 0.0)


def test_the_window_grows_linearly_to_the_whole_clip():
    assert [newest_frame(u, 7, OPTIONS) for u in (0, 11, 12, 35, 36, 59, 60, 99)] == [1, 1, 2, 3, 4, 5, 6, 6]
    assert newest_frame(0, 7, replace(OPTIONS, progressive_frames=False)) == 6
    assert newest_frame(0, 2, OPTIONS) == 1
    assert newest_frame(0, 7, replace(OPTIONS, window=0.0)) == 6


def test_every_fourth_frame_is_the_newest_and_every_fourth_the_first():
    sampler = FrameSampler(np.random.default_rng(0))
    drawn = [sampler.next(5) for _ in range(400)]
    assert set(drawn[1::4]) == {5}
    assert set(drawn[3::4]) == {0}
    assert set(drawn[0::4]) == set(drawn[2::4]) == {0, 1, 2, 3, 4, 5}


def test_views_are_a_quarter_turn_apart_and_the_clip_keeps_its_place():
    eight = pictures([45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0])
    assert eight.orthogonal_rows(1, 0) == [1, 3, 5]  # 90: 180 and 270; 0 is the clip's
    assert eight.orthogonal_rows(0, 0) == [0, 2, 4, 6]
    near = pictures([60.0, 120.0, 180.0, 240.0])
    assert near.orthogonal_rows(0, 0) == [0, 1, 3]  # 60: 150 → 120 (first of two), 240, 330 → the clip


@pytest.mark.parametrize("orthogonal", [True, False])
def test_views_that_are_left_out_are_not_looked_at(orthogonal):
    grid = pictures([90.0, 180.0, 270.0]).without(1)
    random = np.random.default_rng(1)
    drawn = {row for _ in range(50) for row in view_rows(grid, 0, orthogonal, random)}
    assert drawn == {0, 2}
    assert view_rows(grid.without(0).without(2), 0, orthogonal, random) == []


def test_at_random_all_views_come():
    grid = pictures([45.0, 90.0, 135.0, 180.0, 225.0])
    random = np.random.default_rng(2)
    steps = [view_rows(grid, 0, False, random) for _ in range(40)]
    assert all(len(rows) == len(set(rows)) == 3 for rows in steps)
    assert {row for rows in steps for row in rows} == set(range(5))
