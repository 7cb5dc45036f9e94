import itertools

import pytest

from ar4d.experts.sv4d2.config import SV4D2, SV4D2_8VIEWS
from ar4d.experts.sv4d2.passes import plan

LENGTHS = (1, 2, 5, 11, 12, 13, 21, 23, 24, 60)


@pytest.mark.parametrize("config", [SV4D2, SV4D2_8VIEWS], ids=lambda config: config.name)
@pytest.mark.parametrize("num_frames", LENGTHS)
def test_every_frame_is_kept_from_exactly_one_pass_that_drew_it(config, num_frames):
    parts = plan(num_frames, config.frames)
    assert [frame for part in parts for frame in part.kept] == list(range(num_frames))
    for part in parts:
        assert set(part.kept) <= set(part.drawn)
        assert len(part.drawn) == min(config.frames, num_frames)
        assert part.drawn.stop <= num_frames


@pytest.mark.parametrize("config", [SV4D2, SV4D2_8VIEWS], ids=lambda config: config.name)
@pytest.mark.parametrize("num_frames", LENGTHS)
def test_each_pass_begins_with_a_frame_that_the_one_before_drew(config, num_frames):
    parts = plan(num_frames, config.frames)
    for before, part in itertools.pairwise(parts):
        assert part.start in before.drawn
        assert before.kept.stop == part.start  # so the frame after those kept is the reference


def test_the_published_schedules():
    """4 views, 21 frames: passes at 0 and 9; 8 views: every 4 frames. No pass is done twice."""
    assert [part.start for part in plan(21, SV4D2.frames)] == [0, 9]
    assert [part.start for part in plan(21, SV4D2_8VIEWS.frames)] == [0, 4, 8, 12, 16]
    assert [part.start for part in plan(12, SV4D2.frames)] == [0]
    assert [part.start for part in plan(23, SV4D2.frames)] == [0, 11]
    assert [part.start for part in plan(24, SV4D2.frames)] == [0, 11, 12]
