"""What each ablation switch of the paper switches off, over whole runs."""

from dataclasses import replace

import pytest
import torch

from ar4d.asset import DeformedGaussians, FrameSequence
from ar4d.events import ExpertChosen, FrameFinished, StageStarted
from ar4d.lifting import drain, lift_events
from ar4d.presets import PAPER
from tests.conftest import quick
from tests.engines.ar4d.test_generate import TINY
from tests.support.two_sided import RIG, RecordingExpert, clip_of, shifted, two_sided

FRAMES = shifted(3)
SETTINGS = replace(
    quick(),
    size=RIG.size,
    pseudo_size=RIG.pseudo_size,
    elevation_deg=RIG.elevation_deg,
    initialize=replace(quick(PAPER).initialize, iterations=3),
    generate=replace(TINY, iterations=3, pseudo_every=2),
    refine=replace(quick().refine, iterations=3, warm_start=3),
)


def lifted(settings):
    """The events and the asset of a run, and the expert that played both roles."""
    expert = RecordingExpert([two_sided(), *FRAMES[1:]])
    events = []
    experts = {"image_to_gaussians": expert, "views_to_gaussians": expert}
    asset = drain(lift_events(clip_of(FRAMES), settings, experts=experts), events.append)
    return events, asset, expert


def frames_of(events):
    found = [event.gaussians for event in events if isinstance(event, FrameFinished)]
    assert None not in found
    return [gaussians for gaussians in found if gaussians is not None]


def test_with_all_switches_on_every_part_works():
    events, asset, expert = lifted(SETTINGS)
    assert len(expert.lifted) == 1
    assert len(expert.reconstructed) == 4  # steps 0 and 2 of two frames
    assert [event.role for event in events if isinstance(event, ExpertChosen)] == [
        "image_to_gaussians",
        "views_to_gaussians",
    ]
    assert not torch.equal(frames_of(events)[0].means, expert.known[0].means)
    assert isinstance(asset, DeformedGaussians)


def test_without_finetuning_frame_0_is_the_experts():
    events, _, expert = lifted(replace(SETTINGS, initialize=replace(SETTINGS.initialize, finetune=False)))
    for name, value in expert.known[0].state().items():
        assert torch.equal(frames_of(events)[0].state()[name], value), name


def test_without_progressive_views_the_later_expert_is_never_called():
    events, _, expert = lifted(
        replace(SETTINGS, generate=replace(SETTINGS.generate, progressive_views=False))
    )
    assert expert.reconstructed == []
    assert [event.role for event in events if isinstance(event, ExpertChosen)] == ["image_to_gaussians"]


@pytest.mark.parametrize("autoregressive", [True, False])
def test_without_autoregression_every_frame_starts_from_frame_0(autoregressive):
    """A frame of no steps is its source. Frame 1 is given, as by an interrupted run."""
    options = replace(SETTINGS.generate, autoregressive=autoregressive, iterations=0)
    settings = replace(SETTINGS, generate=options, refine=replace(SETTINGS.refine, enabled=False))
    given = [two_sided(), two_sided(front=(0.3, 0, 0))]
    expert = RecordingExpert(FRAMES)
    events = list(lift_events(clip_of(FRAMES), settings, given, {"views_to_gaussians": expert}))
    (frame,) = frames_of(events)
    torch.testing.assert_close(frame.means, given[1 if autoregressive else 0].means)


def test_without_refinement_the_asset_is_stage_2s_frames():
    events, asset, _ = lifted(replace(SETTINGS, refine=replace(SETTINGS.refine, enabled=False)))
    assert isinstance(asset, FrameSequence)
    for frame, made in zip(asset.frames, frames_of(events), strict=True):
        assert torch.equal(frame.means, made.means)
    assert "refine" not in [event.stage for event in events if isinstance(event, StageStarted)]
