"""Stage 2 against Eq. 3 and 5 to 8: exact losses, the sampled azimuths, the source of each frame."""

from dataclasses import replace

import pytest
import torch

from ar4d.cameras import RADIUS
from ar4d.engines.ar4d import generate as stage
from ar4d.engines.ar4d.fitting import fit_of
from ar4d.engines.ar4d.generate import FrameFit, azimuth_limit, generate
from ar4d.events import FrameFinished, Step, Warned
from ar4d.gaussians import Gaussians
from ar4d.images import on_white
from ar4d.settings import FieldSettings, GenerateSettings, LearningRates
from tests.support import reference
from tests.support.streams import drained
from tests.support.two_sided import (
    RIG,
    KnownViews,
    exact_view,
    pictures,
    sheets,
    shifted,
    two_sided,
    with_rig,
)

TINY = GenerateSettings(
    iterations=1,
    field=FieldSettings(kind="node-table", nodes=12, lr=8e-3, lr_final=1e-3),
    rates=LearningRates(means=3e-4, colors=0.02),
)


def fit(frames, finished, source, options, rig=RIG, seed=0, canonical=0):
    """Stage 2 on what the reference camera sees of `frames`."""
    rgba = pictures(frames, rig=rig)
    return drained(generate(rgba, on_white(rgba), finished, source, options, rig, seed, False, canonical))


def test_azimuth_limit_is_equation_6():
    """min(N_max, ⌊u / η⌋ + N_start)"""
    paper = GenerateSettings()
    assert [azimuth_limit(u, paper) for u in (0, 9, 10, 1789, 1790, 1999)] == [1, 1, 2, 179, 180, 180]
    other = GenerateSettings(max_azimuth=90, start_azimuth=15, steps_per_degree=4)
    assert [azimuth_limit(u, other) for u in (0, 3, 4, 299, 300, 400)] == [15, 15, 16, 89, 90, 90]


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_the_loss_of_a_step_is_equation_5_plus_equation_8(alpha):
    """The first step sees the source undeformed, so that its loss can be worked out in float64."""
    frames = [two_sided(), two_sided(front=(0.1, 0, 0), back=(0, 0.05, -0.1))]
    options = replace(TINY, l1=0.7, alpha=alpha, pseudo_rgb=0.5, pseudo_depth=0.9, start_azimuth=120.0)
    source = KnownViews(frames)
    events, _ = fit(frames, frames[:1], source, options)
    (step,) = [event for event in events if isinstance(event, Step)]
    (azimuth,) = source.caches[1].azimuths
    assert abs(azimuth) > 10  # a view that shows the depth

    view = exact_view(frames[0], 0, RIG.size, RIG.elevation_deg)
    rgba = pictures(frames)[1:].double()
    target = on_white(rgba)
    expected = 0.7 * (view.rgb - target).abs().mean() + 0.3 * (1 - reference.ssim(view.rgb, target))
    expected = expected + alpha * (view.alpha - rgba[..., 3]).abs().mean()
    side, pseudo = (exact_view(g, azimuth, RIG.pseudo_size, RIG.elevation_deg) for g in frames)
    expected = expected + 0.5 * (side.rgb - pseudo.rgb).abs().mean()
    expected = expected + 0.9 * (side.depth - pseudo.depth).abs().mean() / RADIUS
    assert step.loss == pytest.approx(expected.item(), abs=2e-5)


def test_without_pseudo_views_the_loss_is_equation_5_alone():
    frames = shifted(2)
    events, _ = fit(frames, frames[:1], None, TINY)
    (step,) = [event for event in events if isinstance(event, Step)]
    view, target = exact_view(frames[0], 0, RIG.size, RIG.elevation_deg).rgb, on_white(pictures(frames)[1:])
    expected = 0.8 * (view - target).abs().mean() + 0.2 * (1 - reference.ssim(view, target.double()))
    assert step.loss == pytest.approx(expected.item(), abs=2e-5)


def test_both_ends_of_the_range_are_sampled():
    frames, rig = shifted(2), with_rig(size=8, pseudo_size=4)
    source = KnownViews(frames, rig)
    fit(frames, frames[:1], source, replace(TINY, iterations=40, max_azimuth=1.0), rig)
    assert set(source.caches[1].azimuths) == {-1, 0, 1}
    beside = with_rig(rig, sides_deg=2)  # a scene
    source = KnownViews(frames, beside)
    fit(frames, frames[:1], source, replace(TINY, iterations=60, start_azimuth=90.0), beside)
    assert set(source.caches[1].azimuths) == {-2, -1, 0, 1, 2}


def test_every_step_of_every_frame_asks_for_its_pseudo_views():
    frames, rig = shifted(3), with_rig(size=8, pseudo_size=4)
    source = KnownViews(frames, rig)
    fit(frames, frames[:1], source, replace(TINY, iterations=5), rig)
    assert source.calls == [(k, u) for k in (1, 2) for u in range(5)]


@pytest.mark.parametrize(("autoregressive", "source"), [(True, 1), (False, 0)])
def test_the_source_of_a_frame_is_the_previous_one_or_the_first(autoregressive, source):
    """With no step at all, a frame is its source."""
    frames = shifted(3, step=0.2)
    options = replace(TINY, iterations=0, autoregressive=autoregressive)
    _, made = fit(frames, frames[:2], None, options)
    for name, value in frames[source].state().items():
        torch.testing.assert_close(made[2].state()[name], value, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("autoregressive", [True, False])
def test_both_ways_from_the_canonical_frame_each_frame_starts_from_its_neighbour(autoregressive, monkeypatch):
    frames, sources = shifted(5), {}
    run = FrameFit.run

    def watched(self, source, pseudo_views):
        sources[self.index] = source
        return run(self, source, pseudo_views)

    monkeypatch.setattr(FrameFit, "run", watched)
    options = replace(TINY, autoregressive=autoregressive)
    events, made = fit(frames, [frames[2]], None, options, canonical=2)
    assert [event.frame_index for event in events if isinstance(event, FrameFinished)] == [3, 4, 1, 0]
    finished: dict[int, Gaussians] = dict(zip((2, 3, 4, 1, 0), made, strict=True))
    for index, neighbour in ((3, 2), (4, 3), (1, 2), (0, 1)):
        assert sources[index] is finished[neighbour if autoregressive else 2]


def test_an_interrupted_backward_chain_goes_on_where_it_stopped():
    frames = shifted(4)
    _, whole = fit(frames, [frames[2]], None, TINY, canonical=2)
    for kept in (1, 2, 3):
        events, made = fit(frames, whole[:kept], None, TINY, canonical=2)
        assert [e.frame_index for e in events if isinstance(e, FrameFinished)] == [3, 1, 0][kept - 1 :]
        assert all(torch.equal(a.means, b.means) for a, b in zip(made, whole, strict=True))


def test_the_seed_decides_the_azimuths():
    frames, rig = shifted(2), with_rig(size=8, pseudo_size=4)
    drawn = []
    for seed in (0, 0, 1):
        source = KnownViews(frames, rig)
        fit(frames, frames[:1], source, replace(TINY, iterations=20, start_azimuth=90.0), rig, seed)
        drawn.append(source.caches[1].azimuths)
    assert drawn[0] == drawn[1] != drawn[2]


def test_azimuths_are_sampled_within_a_range_that_grows_to_both_sides():
    """Eq. 7: N_samp ~ U(-N_u, N_u), with N_u of Eq. 6."""
    frames, options = shifted(2), replace(TINY, iterations=300, steps_per_degree=0.8)
    rig = with_rig(size=8, pseudo_size=4)
    source = KnownViews(frames, rig)
    fit(frames, frames[:1], source, options, rig)
    azimuths = source.caches[1].azimuths
    limits = [azimuth_limit(u, options) for u in range(300)]
    assert all(abs(azimuth) <= limit for azimuth, limit in zip(azimuths, limits, strict=True))
    assert max(azimuths) > 170
    assert min(azimuths) < -170
    shares = torch.tensor([azimuth / limit for azimuth, limit in zip(azimuths, limits, strict=True)])
    assert shares.mean().abs() < 0.1  # uniform in [-1, 1]: mean 0, mean size 1/2
    assert shares.abs().mean() == pytest.approx(0.5, abs=0.05)


def test_pseudo_views_keep_the_hidden_side_in_its_place():
    """The front sheet moves; the back sheet, which the clip never shows, stays only with pseudo-views."""
    frames = shifted(3, step=0.08)
    few_nodes = replace(TINY.field, nodes=6)  # each moves Gaussians of both sheets
    options = replace(TINY, iterations=60, steps_per_degree=0.25, field=few_nodes)
    drift = {}
    for name, source in (("on", KnownViews(frames)), ("off", None)):
        events, made = fit(frames, frames[:1], source, options)
        front, back = sheets(made[2])
        drift[name] = float((back.means - sheets(frames[0])[1].means).norm(dim=-1).mean())
        moved = float((front.means - sheets(frames[0])[0].means)[:, 0].mean())
        assert moved == pytest.approx(0.16, abs=0.06)
        assert [event.frame_index for event in events if isinstance(event, FrameFinished)] == [1, 2]
    assert drift["off"] > 0.05
    assert drift["on"] < 0.5 * drift["off"]


def test_a_frame_starts_where_the_motion_points():
    """The front sheet goes on as it came, when there is no step at all; the back sheet stays."""
    frames = shifted(4, step=0.05)
    for momentum, way in ((0.0, 0.0), (1.0, 0.05), (0.5, 0.025)):
        options = replace(TINY, iterations=0, momentum=momentum, field=replace(TINY.field, nodes=72))
        _, made = fit(frames[:3], frames[:2], None, options)
        (front, back), (front_before, back_before) = sheets(made[2]), sheets(frames[1])
        moved = (front.means - front_before.means).mean(0)
        torch.testing.assert_close(moved, torch.tensor([way, 0.0, 0.0]), atol=2e-3, rtol=0)
        torch.testing.assert_close(back.means, back_before.means, atol=2e-3, rtol=0)


def test_the_second_frame_starts_at_rest():
    frames = shifted(2)
    _, made = fit(frames, frames[:1], None, replace(TINY, iterations=0, momentum=1.0))
    torch.testing.assert_close(made[1].means, frames[0].means, atol=1e-4, rtol=1e-4)


def test_a_frame_that_is_shown_already_takes_few_steps():
    """The third frame is the second once more; the fourth is not."""
    frames = shifted(3, step=0.15)
    clip = [frames[0], frames[1], frames[1], frames[2]]
    events, _ = fit(clip, clip[:2], None, replace(TINY, iterations=40, least_share=0.25))
    last = {event.frame_index: event for event in events if isinstance(event, Step)}
    assert (last[2].step, last[2].num_steps) == (10, 10)
    assert (last[3].step, last[3].num_steps) == (40, 40)


def test_the_first_steps_are_coarse(monkeypatch):
    sizes = []

    def watched(fitted):
        made = fit_of(fitted)
        step = made.step

        def noted(u, comparisons):
            sizes.append(comparisons[0].camera.width)
            step(u, comparisons)

        monkeypatch.setattr(made, "step", noted)
        return made

    monkeypatch.setattr(stage, "fit_of", watched)
    frames = shifted(2, step=0.1)
    _, made = fit(frames, frames[:1], KnownViews(frames), replace(TINY, iterations=20, coarse_share=0.5))
    assert sizes == [RIG.size // 2] * 10 + [RIG.size] * 10
    assert (sheets(made[1])[0].means - sheets(frames[0])[0].means)[:, 0].mean() > 0.03


def test_a_picture_that_holds_no_numbers_is_named_and_spoils_nothing():
    frames = shifted(3)
    rgba = pictures(frames)
    targets = on_white(rgba)
    targets[1, 5, 5] = torch.nan
    options = replace(TINY, iterations=5)
    events, made = drained(generate(rgba, targets, frames[:1], None, options, RIG, 0, False))
    (warning,) = [event for event in events if isinstance(event, Warned)]
    assert "Step 1 of frame 2" in warning.message
    for gaussians in made:
        assert all(value.isfinite().all() for value in gaussians.state().values())
