"""The embedded expert's views of a clip."""

import pytest
import torch

from ar4d.cameras import orbit
from ar4d.experts.embedded import Embedded, EmbeddedViews
from ar4d.experts.fallback import Fallback
from ar4d.experts.protocols import draws_over
from ar4d.experts.registry import require
from ar4d.rendering import render
from tests.conftest import ball_frames

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clip():
    frames = torch.from_numpy(ball_frames(3, 48)).float() / 255
    frames[1] = 0.0  # the ball is away for a moment
    return frames


@pytest.fixture(scope="module")
def artist():
    return EmbeddedViews(Embedded.load(CPU))


@pytest.fixture(scope="module")
def grid(artist, clip):
    return artist.imagine(clip, None, 0.0, 0)


def test_its_rows_are_renders_of_what_the_expert_lifts(artist, clip, grid):
    assert grid.azimuths_deg.tolist() == [0, 90, 180, 270]
    assert torch.equal(grid.rgba[0], clip)
    expected = render(artist.expert.lift(clip[2], 8000), orbit([180.0], size=48), background=None).alpha
    torch.testing.assert_close(grid.rgba[2:3, 2, ..., 3], expected)
    assert float(grid.trust[0].min()) == 1.0
    assert float(grid.trust[1:].max()) < 1.0


def test_a_frame_that_shows_nothing_has_views_that_show_nothing(grid):
    assert float(grid.rgba[1:, 1].abs().max()) == 0.0
    assert float(grid.rgba[1:, 0, ..., 3].max()) > 0.9


def test_drawing_over_looks_at_the_views(artist, clip, grid):
    def drawn(views):
        return artist.draw_over(clip, views, 2.7, 0).rgba

    tinted = grid.rgba.clone()
    tinted[1:, ..., 0] = 0.0
    other = type(grid)(tinted, grid.azimuths_deg, grid.elevations_deg, grid.trust)
    same, changed = drawn(grid), drawn(other)
    solid = same[2, 0, ..., 3] > 0.9
    assert float(changed[2, 0, ..., 0][solid].mean()) < float(same[2, 0, ..., 0][solid].mean()) - 0.02


def test_progress_is_told_frame_by_frame(artist, clip):
    news = []
    artist.on_progress = lambda *said: news.append(said)
    artist.imagine(clip[:2], None, 0.0, 0)
    artist.on_progress = None
    assert news == [("views", 1, 2), ("views", 2, 2)]


def test_it_is_what_draws_views_on_a_bare_machine_and_keeps_its_gifts_behind_the_fallback():
    entry, _ = require("clip_to_views", "auto", CPU)
    assert entry.name == "embedded-views"
    events = []
    expert = Fallback("clip_to_views", entry, "test", CPU, events.append)
    assert expert.azimuths_deg == (0.0, 90.0, 180.0, 270.0)
    assert draws_over(expert)
    assert not draws_over(Embedded.load(CPU))
