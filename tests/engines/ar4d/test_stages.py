"""The three stages on a small moving ball: what they reach. Exact numbers: see the stages' own tests."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ar4d.asset import DeformedGaussians, frame_time
from ar4d.cameras import RADIUS, orbit
from ar4d.engines.ar4d.generate import generate
from ar4d.engines.ar4d.initialize import initialize
from ar4d.engines.ar4d.pseudo_views import RenderedViews
from ar4d.engines.ar4d.refine import refine
from ar4d.events import (
    ExpertChosen,
    Finished,
    FrameFinished,
    StageFinished,
    StageStarted,
    Step,
    Warned,
    drain,
)
from ar4d.experts.silhouette import Silhouette
from ar4d.lifting import lift_events
from ar4d.losses import psnr
from ar4d.presets import CPU, FAST
from ar4d.rendering import render
from ar4d.settings import BodySettings
from tests.conftest import make_clip, quick
from tests.support.streams import drained


def lifted(clip, settings):
    """The asset of a whole run."""
    return drain(lift_events(clip, settings))


def stage1(rgba, targets, expert, settings):
    options, budget = settings.initialize, settings.budget
    return initialize(rgba[0], targets[0], expert, options, settings.rig, budget, settings.seed)


def stage2(rgba, targets, frames, expert, settings):
    options, rig = settings.generate, settings.rig
    views = RenderedViews(rgba, expert, rig, options.pseudo_every) if expert is not None else None
    colors = settings.initialize.sigmoid_colors
    return generate(rgba, targets, frames, views, options, rig, settings.seed, colors)


def stage3(targets, frames, fps, settings):
    colors = settings.initialize.sigmoid_colors
    return refine(targets, frames, fps, settings.refine, settings.rig, settings.seed, colors)


def tensors(clip):
    return torch.from_numpy(clip.frames).float() / 255, clip.rgb_on_white()


def test_finetuning_moves_means_and_colours_only(clip, settings):
    rgba, targets = tensors(clip)
    expert = Silhouette()
    before = expert.lift(rgba[0], settings.initialize.gaussians)
    settings = replace(settings, initialize=replace(settings.initialize, body=BodySettings()))
    events, after = drained(stage1(rgba, targets, expert, settings))
    for name in ("quats", "scales", "opacities"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name), atol=1e-5, rtol=1e-4)
    camera = orbit(0.0, size=clip.size)
    gain = psnr(render(after, camera).rgb, targets[:1]) - psnr(render(before, camera).rgb, targets[:1])
    assert gain > 1
    assert isinstance(events[0], StageStarted)
    assert isinstance(events[-1], StageFinished)


def test_preservation_keeps_the_hidden_side(clip, settings):
    rgba, targets = tensors(clip)
    camera = orbit(180.0, size=clip.size)
    before = render(Silhouette().lift(rgba[0], settings.initialize.gaussians), camera).rgb
    departures = {}
    for weight in (0.0, 3.0):
        changed = replace(
            settings, initialize=replace(settings.initialize, preservation=weight, iterations=80)
        )
        _, after = drained(stage1(rgba, targets, Silhouette(), changed))
        departures[weight] = float((render(after, camera).rgb - before).abs().mean())
    assert departures[3.0] < 0.8 * departures[0.0]


def test_a_frame_is_made_from_a_copy_of_the_previous_one(clip, settings):
    rgba, targets = tensors(clip)
    first = Silhouette().lift(rgba[0], settings.initialize.gaussians)
    kept = first.detach()
    _, frames = drained(stage2(rgba, targets, [first], Silhouette(), settings))
    assert len(frames) == clip.num_frames
    assert all(torch.equal(a, b) for a, b in zip(first.state().values(), kept.state().values(), strict=True))
    camera = orbit(0.0, size=clip.size)
    for k in range(1, clip.num_frames):
        moved, still = (psnr(render(g, camera).rgb, targets[k : k + 1]) for g in (frames[k], first))
        assert moved > still + 3


def test_generation_follows_the_motion_of_corresponding_gaussians(clip, settings):
    """The picture moves by 3 % a frame: so does each Gaussian that it shows, less the nearer it is."""
    rgba, targets = tensors(clip)
    first = Silhouette().lift(rgba[0], settings.initialize.gaussians)
    longer = replace(settings, generate=replace(settings.generate, iterations=60))
    _, frames = drained(stage2(rgba, targets, [first], Silhouette(), longer))
    seen = first.means[:, 2] > 0
    step = (frames[-1].means - frames[0].means)[seen].mean(0) / (clip.num_frames - 1)
    depth = RADIUS - float(first.means[seen, 2].mean())
    expected = 0.03 * clip.size * depth / float(orbit(0.0, size=clip.size).Ks[0, 0, 0])
    np.testing.assert_allclose(step.numpy(), [expected, 0, 0], atol=0.25 * expected)


@pytest.mark.parametrize("preset", [CPU, FAST], ids=lambda preset: preset.preset)
def test_refinement_gives_one_asset_for_all_frames(clip, preset):
    settings = quick(preset)
    rgba, targets = tensors(clip)
    _, first = drained(stage1(rgba, targets, Silhouette(), settings))
    _, frames = drained(stage2(rgba, targets, [first], Silhouette(), settings))
    events, asset = drained(stage3(targets, frames, clip.fps, settings))
    assert isinstance(asset, DeformedGaussians)
    steps = [e for e in events if isinstance(e, Step)]
    assert steps[-1].step == steps[-1].num_steps == settings.refine.iterations + settings.refine.warm_start
    camera = orbit(0.0, size=clip.size)
    still = psnr(render(first, camera).rgb, targets[-1:])
    moved = psnr(render(asset.at(1.0), camera).rgb, targets[-1:])
    assert moved > still + 3


def test_warm_start_brings_the_motion_of_stage_2(clip, settings):
    rgba, targets = tensors(clip)
    first = Silhouette().lift(rgba[0], settings.initialize.gaussians)
    _, frames = drained(stage2(rgba, targets, [first], Silhouette(), settings))
    only_warm = replace(settings, refine=replace(settings.refine, warm_start=80, iterations=1))
    _, asset = drained(stage3(targets, frames, clip.fps, only_warm))
    for k, frame in enumerate(frames):
        error = (asset.at(frame_time(k, len(frames))).means - frame.means).norm(dim=-1).mean()
        assert error < 0.01


def test_events_of_a_whole_run(clip, settings):
    expert = Silhouette()
    experts = {"image_to_gaussians": expert, "views_to_gaussians": expert}
    events = list(lift_events(clip, settings, experts=experts))
    assert [type(e) for e in events if isinstance(e, ExpertChosen)] == [ExpertChosen, ExpertChosen]
    assert [e.stage for e in events if isinstance(e, StageFinished)] == ["initialize", "generate", "refine"]
    frames = [e.frame_index for e in events if isinstance(e, FrameFinished)]
    assert frames == [0, 1, 2, 3]
    assert isinstance(events[-1], Finished)
    assert len(events[-1].psnr) == len(events[-1].ssim) == 4
    for stage in ("generate", "refine"):
        announced = sum(e.num_steps for e in events if isinstance(e, StageStarted) and e.stage == stage)
        last = [e for e in events if isinstance(e, Step) and e.stage == stage and e.step == e.num_steps]
        assert sum(e.num_steps for e in last) == announced


def test_one_frame_is_a_static_asset(settings):
    asset = lifted(make_clip(1), settings)
    assert torch.equal(asset.at(0.0).means, asset.at(1.0).means)
    assert asset.num_frames == 1


def test_warnings_of_the_clip_are_passed_on(settings):
    clip = replace(make_clip(1), warnings=("the subject touches the border",))
    assert Warned("the subject touches the border") in list(lift_events(clip, settings))


def test_a_see_through_subject_is_lifted_with_its_transparency(settings):
    clip = make_clip()
    frames = clip.frames.copy()
    frames[..., 3] = np.round(0.4 * frames[..., 3])
    asset = lifted(replace(clip, frames=frames), settings)
    for k, frame in enumerate(frames):
        inside = torch.from_numpy(frame[..., 3] > 90)
        seen = render(asset.at(frame_time(k, 4)), orbit(0.0, size=clip.size)).alpha[0]
        assert float(seen[inside].mean()) == pytest.approx(0.4, abs=0.06)
    beside = render(asset.at(0.0), orbit(90.0, size=clip.size)).alpha[0]
    assert 0.2 < float(beside[beside > 0.1].mean()) < 0.6
