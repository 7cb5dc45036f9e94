"""Sec. 4.2: what the expert is given for the pseudo-views, how often and at which step."""

from dataclasses import replace

import pytest
import torch

from ar4d.cameras import RADIUS, orbit
from ar4d.engines.ar4d.pseudo_views import GridViews, RenderedViews, SceneViews
from ar4d.rendering import render
from tests.engines.ar4d.test_generate import TINY, fit
from tests.support import reference
from tests.support.two_sided import RIG, RecordingExpert, pictures, shifted, two_sided, with_rig
from tests.support.visual_hull import TrueViews

NOW = two_sided(front=(0.05, 0, 0))  # the Gaussians in some step of a fit


def assert_shows(picture: torch.Tensor, azimuth_deg: float) -> None:
    """Compares a picture [S, S, 4] with `NOW` from an azimuth, by the float64 rasteriser."""
    camera = orbit(azimuth_deg, RIG.elevation_deg, size=RIG.size)
    light, _, alpha = (value[0] for value in reference.rasterize(NOW, camera))
    torch.testing.assert_close(picture[..., 3].double(), alpha, atol=2e-4, rtol=0)
    clear = alpha > 0.05  # a colour divided by a small alpha is not exact
    straight = light[clear] / alpha[clear][:, None]
    torch.testing.assert_close(picture[..., :3][clear].double(), straight, atol=5e-3, rtol=0)


def test_view_0_is_the_frame_and_the_others_are_renders():
    frames = shifted(3)
    rgba, expert = pictures(frames), RecordingExpert(frames)
    cache = RenderedViews(rgba, expert, RIG, every=5).at(2, lambda: NOW, 0)
    ((given, elevation),) = expert.reconstructed
    assert given.shape == (4, RIG.size, RIG.size, 4)
    assert elevation == RIG.elevation_deg
    assert torch.equal(given[0], rgba[2])  # not a render of `NOW`
    for view, azimuth in ((1, 90.0), (2, 180.0), (3, 270.0)):
        assert_shows(given[view], azimuth)
    assert torch.equal(cache.gaussians.means, frames[2].means)
    assert (cache.size, cache.elevation_deg) == (RIG.pseudo_size, RIG.elevation_deg)
    assert cache.covered_only is False


def test_the_expert_is_asked_every_few_steps_of_each_frame():
    frames, rig = shifted(3), with_rig(size=12, pseudo_size=6)
    expert = RecordingExpert(frames, rig)
    asked, made = [], []

    class Counting(RenderedViews):
        def at(self, frame_index, gaussians, u):
            before = len(expert.reconstructed)
            cache = super().at(frame_index, gaussians, u)
            made.append(cache)
            if len(expert.reconstructed) > before:
                asked.append((frame_index, u))
            return cache

    source = Counting(pictures(frames, rig=rig), expert, rig, every=4)
    fit(frames, frames[:1], source, replace(TINY, iterations=10), rig)
    assert asked == [(frame, u) for frame in (1, 2) for u in (0, 4, 8)]
    for index, cache in enumerate(made):  # between two calls Ĝ stays the same object
        assert (cache is made[index - 1]) == (index % 10 not in (0, 4, 8))


def test_renders_are_those_of_the_step_they_are_asked_in():
    frames, rig = shifted(2, step=0.15), with_rig(size=12, pseudo_size=6)
    expert = RecordingExpert(frames, rig)
    source = RenderedViews(pictures(frames, rig=rig), expert, rig, every=15)
    fit(frames, frames[:1], source, replace(TINY, iterations=16), rig)
    (first, _), (second, _) = expert.reconstructed
    assert torch.equal(first[0], second[0])
    assert (first[2] - second[2]).abs().mean() > 1e-3  # the object has moved meanwhile


def test_no_gradient_flows_to_the_pseudo_views():
    frames = shifted(2)
    moving = NOW.map(lambda x: x.clone().requires_grad_())
    expert = RecordingExpert(frames)
    RenderedViews(pictures(frames), expert, RIG, every=1).at(1, lambda: moving, 0)
    assert not expert.reconstructed[0][0].requires_grad


def test_a_grid_replaces_the_renders_at_its_azimuths():
    frames = shifted(3)
    source = TrueViews(frames, azimuths_deg=(0.0, 90.0, -90.0))
    expert, grid = RecordingExpert(frames), source.grid()
    views = GridViews(grid, expert, RIG)
    caches = [views.at(1, lambda: NOW, u) for u in range(5)]
    ((given, elevation),) = expert.reconstructed  # once per frame: the truth does not change
    assert all(cache is caches[0] for cache in caches)
    assert elevation == RIG.elevation_deg
    assert torch.equal(given[0], grid.rgba[0, 1])
    assert torch.equal(given[1], grid.rgba[1, 1])
    assert torch.equal(given[3], grid.rgba[2, 1])  # -90 is 270
    assert_shows(given[2], 180.0)  # the grid has none there
    views.at(2, lambda: NOW, 0)
    assert torch.equal(expert.reconstructed[1][0][1], grid.rgba[1, 2])
    assert torch.equal(caches[0].gaussians.means, frames[1].means)


def test_a_scene_is_lifted_again_at_the_depth_that_is_known():
    given = []

    class Relift:
        name = "relift"

        def relift(self, rgba, known, budget, elevation_deg=0.0):
            given.append((rgba, known, budget, elevation_deg))
            return NOW

    rgba = pictures(shifted(2))
    source = SceneViews(rgba, Relift(), RIG, budget=77, every=3)  # pyright: ignore[reportArgumentType]
    caches = [source.at(1, lambda: NOW, u) for u in range(4)]
    assert [caches[u] is caches[0] for u in range(4)] == [True, True, True, False]
    picture, known, budget, elevation = given[0]
    assert torch.equal(picture, rgba[1])
    assert (budget, elevation, caches[0].covered_only) == (77, RIG.elevation_deg, True)
    view = render(NOW, orbit(0.0, RIG.elevation_deg, size=RIG.size))
    assert (known[view.alpha[0] < 0.4] == 0).all()
    solid = known[view.alpha[0] > 0.6]
    assert ((solid > RADIUS - 0.4) & (solid < RADIUS)).all()  # the front sheet, nearer than the origin
    with pytest.raises(AssertionError):  # the weighted sum that `render` returns is another number
        torch.testing.assert_close(solid, view.depth[0][view.alpha[0] > 0.6])
