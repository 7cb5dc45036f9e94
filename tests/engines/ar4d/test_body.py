"""Tidying what is hidden: each step against a plain computation, and the seen is never touched."""

import numpy as np
import pytest
import torch

from ar4d.engines.ar4d.body import COLOR_NEIGHBOURS, REACH, closed, loners, smoothed_colors, tidied
from ar4d.gaussians import Gaussians
from ar4d.settings import BodySettings

ALL = BodySettings(loner_distance=2.5, closing=2.0, color_passes=2)


def sheet(count: int = 100, seed: int = 0) -> Gaussians:
    """A jittered grid of Gaussians with random colours, and one more far away."""
    g = torch.Generator().manual_seed(seed)
    side = int(count**0.5)
    x, y = torch.meshgrid(*[torch.linspace(-0.5, 0.5, side)] * 2, indexing="xy")
    means = torch.stack([x, y, torch.zeros_like(x)], -1).reshape(-1, 3)
    means = torch.cat([means + 0.01 * torch.rand(means.shape, generator=g), torch.tensor([[0.0, 0.0, 0.9]])])
    return Gaussians(
        means,
        torch.tensor([1.0, 0, 0, 0]).expand(len(means), 4),
        torch.full((len(means), 3), 0.03),
        0.2 + 0.7 * torch.rand(len(means), generator=g),
        torch.rand(len(means), 3, generator=g),
    )


def test_what_is_seen_stays_as_it_is():
    gaussians = sheet()
    after = tidied(gaussians, torch.ones(101), ALL)
    for name, value in after.state().items():
        assert torch.equal(value, gaussians.state()[name]), name


def test_defaults_change_nothing():
    gaussians = sheet()
    assert tidied(gaussians, torch.zeros(101), BodySettings()) is gaussians


def test_only_hidden_loners_are_pruned():
    gaussians = sheet()
    assert loners(gaussians, torch.zeros(101), 2.5).nonzero().flatten().tolist() == [100]
    assert not loners(gaussians, torch.ones(101), 2.5).any()
    assert len(tidied(gaussians, torch.zeros(101), ALL)) == 100


def test_closing_is_layers_on_top_of_one_another():
    opacities = torch.tensor([0.0, 0.3, 0.9], dtype=torch.float64)
    two = opacities + (1 - opacities) * opacities
    torch.testing.assert_close(closed(opacities, 2.0), two)
    torch.testing.assert_close(closed(opacities, 1.0), opacities)


def test_colours_match_a_plain_float64_diffusion():
    gaussians, hidden = sheet(), torch.linspace(0, 1, 101)
    means, colors = gaussians.means.double().numpy(), gaussians.colors.double().numpy()
    opacities = gaussians.opacities.double().numpy()
    for _ in range(2):
        after = colors.copy()
        for i in range(len(means)):
            distances = np.linalg.norm(means - means[i], axis=1)
            near = np.argsort(distances)[:COLOR_NEIGHBOURS]
            weights = opacities[near] * np.exp(-((distances[near] / (REACH * distances[near].max())) ** 2))
            target = (weights[:, None] * colors[near]).sum(0) / weights.sum()
            after[i] += float(hidden[i]) * (target - colors[i])
        colors = after
    measured = smoothed_colors(gaussians, hidden, 2)
    np.testing.assert_allclose(measured.numpy(), colors, atol=1e-5)


def test_specks_fade_along_the_surface_and_the_seen_is_the_source():
    gaussians = sheet()
    exposed = (gaussians.means[:, 0] < 0).float()
    red = torch.tensor([0.9, 0.1, 0.1])
    colors = torch.where(exposed[:, None] > 0, red, gaussians.colors)
    before = Gaussians(**{**gaussians.state(), "colors": colors})
    after = tidied(before, exposed, BodySettings(color_passes=200))
    assert (after.colors[:100] - red).abs().max() < 0.1
    assert (before.colors[:100] - red).abs().max() > 0.5


@pytest.mark.parametrize("count", [0, 1, 4])
def test_few_gaussians_are_no_trouble(count):
    gaussians = sheet().select(torch.arange(count))
    assert len(tidied(gaussians, torch.zeros(count), ALL)) == count


def test_coinciding_gaussians_give_no_nan():
    gaussians = sheet()
    same = Gaussians(**{**gaussians.state(), "means": torch.zeros(101, 3)})
    after = tidied(same, torch.zeros(101), ALL)
    assert all(value.isfinite().all() for value in after.state().values())
