"""Clips that break what the method takes for granted: nothing becomes NaN or flies apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ar4d.asset import frame_time
from ar4d.clip import Clip
from ar4d.events import Warned
from ar4d.lifting import lift_events
from tests.conftest import make_clip, quick
from tests.support.streams import drained


def flashing(frames: np.ndarray) -> None:
    frames[2, ..., :3] = 255


def cut_to_another_scene(frames: np.ndarray) -> None:
    frames[2:] = np.rot90(frames[2:, ..., [1, 2, 0, 3]], axes=(1, 2))


def still(frames: np.ndarray) -> None:
    frames[:] = frames[:1]


def of_one_colour(frames: np.ndarray) -> None:
    frames[..., :3] = 128


def vanishing(frames: np.ndarray) -> None:
    frames[2] = 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil", [flashing, cut_to_another_scene, still, of_one_colour, vanishing], ids=lambda f: f.__name__
)
def test_odd_clips_give_finite_bounded_assets(spoil):
    frames = make_clip().frames.copy()
    spoil(frames)
    clip: Clip = replace(make_clip(), frames=frames)
    settings = quick()
    settings = replace(
        settings,
        initialize=replace(settings.initialize, expert="silhouette"),
        generate=replace(settings.generate, expert="silhouette", pseudo_every=100),
    )
    events, asset = drained(lift_events(clip, settings))
    for k in range(len(frames)):
        gaussians = asset.at(frame_time(k, len(frames)))
        assert all(value.isfinite().all() for value in gaussians.state().values())
        assert gaussians.means.abs().max() < 2
        assert gaussians.scales.max() < 1
    named = [event.message for event in events if isinstance(event, Warned)]
    assert any("Frame 3 shows no object" in message for message in named) == (spoil is vanishing)
    losses = torch.tensor([event.loss for event in events if hasattr(event, "loss")])
    assert losses.isfinite().all()
