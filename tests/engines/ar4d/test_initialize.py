"""Stage 1 against Eq. 2: the loss, what moves, and what the expert is given."""

from dataclasses import replace

import pytest
import torch

from ar4d.engines.ar4d import initialize as stage
from ar4d.engines.ar4d.initialize import PRUNE_BELOW, initialize
from ar4d.events import FrameFinished, FrameImagined, Step
from ar4d.images import on_white
from ar4d.settings import InitializeSettings, LearningRates
from tests.support.streams import drained
from tests.support.two_sided import RIG, RecordingCache, RecordingExpert, exact_view, pictures, two_sided

FRAME = two_sided(front=(0.06, 0.02, 0))
PLAIN = InitializeSettings(
    iterations=1, preservation=0.0, sigmoid_colors=False, rates=LearningRates(means=1e-3, colors=0.02)
)


def start(options, known=None):
    """Stage 1 on a picture of `FRAME`, by an expert that answers `known`."""
    rgba = pictures([FRAME])[0]
    expert = RecordingExpert([known or two_sided()])
    events, gaussians = drained(initialize(rgba, on_white(rgba), expert, options, RIG, 99, 0))
    return rgba, expert, events, gaussians


def test_the_loss_of_the_first_step_is_equation_2():
    rgba, _, events, _ = start(PLAIN)
    (step,) = [event for event in events if isinstance(event, Step)]
    view = exact_view(two_sided(), 0, RIG.size, RIG.elevation_deg).rgb[0]
    assert step.loss == pytest.approx(((view - on_white(rgba)) ** 2).mean().item(), abs=1e-6)


def test_only_means_and_colours_move():
    _, expert, _, gaussians = start(replace(PLAIN, iterations=20))
    for name, value in expert.known[0].state().items():
        moved = not torch.allclose(gaussians.state()[name], value, atol=1e-4, rtol=1e-4)
        assert moved == (name in ("means", "colors")), name


def test_the_expert_lifts_the_frame_at_the_cameras_elevation_and_the_budget():
    rgba, expert, _, _ = start(PLAIN)
    ((given, budget, elevation),) = expert.lifted
    assert torch.equal(given, rgba)
    assert (budget, elevation) == (99, RIG.elevation_deg)


def test_without_finetuning_the_gaussians_are_the_experts():
    _, expert, events, gaussians = start(replace(PLAIN, finetune=False))
    for name, value in expert.known[0].state().items():
        assert torch.equal(gaussians.state()[name], value), name
    assert not any(isinstance(event, Step) for event in events)
    (frame,) = [event for event in events if isinstance(event, FrameFinished)]
    assert frame.gaussians is gaussians


def test_the_experts_gaussians_are_a_preview_before_the_first_step():
    _, expert, events, _ = start(replace(PLAIN, iterations=20))
    kinds = [type(event) for event in events]
    assert kinds.count(FrameImagined) == 1
    assert kinds.index(FrameImagined) < kinds.index(Step)
    (preview,) = [event for event in events if isinstance(event, FrameImagined)]
    assert preview.frame_index == 0
    assert preview.gaussians is not None
    for name, value in expert.known[0].state().items():
        assert torch.equal(preview.gaussians.state()[name], value), name  # the fit has not moved it


def test_without_finetuning_there_is_no_preview():
    _, _, events, _ = start(replace(PLAIN, finetune=False))
    assert not any(isinstance(event, FrameImagined) for event in events)


def test_gaussians_that_show_nothing_are_dropped():
    opacities = torch.full((72,), 0.9)
    opacities[:10], opacities[10:15] = PRUNE_BELOW * 0.9, PRUNE_BELOW * 1.1
    _, _, _, gaussians = start(replace(PLAIN, finetune=False), replace(two_sided(), opacities=opacities))
    assert len(gaussians) == 62


def test_preservation_compares_all_around(monkeypatch):
    """Azimuths up to half a turn to both sides, at the size of pseudo-views."""
    caches = []

    class Watched(RecordingCache):
        def __init__(self, gaussians, elevation_deg, size):
            super().__init__(gaussians)
            assert (elevation_deg, size) == (RIG.elevation_deg, RIG.pseudo_size)
            caches.append(self)

    monkeypatch.setattr(stage, "ViewCache", Watched)
    start(replace(PLAIN, iterations=60, preservation=1.0))
    (cache,) = caches
    assert len(cache.azimuths) == 60
    assert -180 <= min(cache.azimuths) < -120
    assert 120 < max(cache.azimuths) <= 180


def test_preservation_acts_at_the_sides():
    """What the expert made is held at azimuths all around: less of the back changes."""
    drift = {}
    for weight in (0.0, 5.0):
        options = replace(PLAIN, iterations=40, preservation=weight)
        _, expert, _, gaussians = start(options)
        views = [exact_view(g, 150, 16, RIG.elevation_deg).rgb for g in (expert.known[0], gaussians)]
        drift[weight] = float((views[0] - views[1]).abs().mean())
    assert drift[5.0] < 0.7 * drift[0.0]
