"""Rectified flow: its noise, loss and sampler."""

import pytest
import torch

from ar4d.experts.grid.flow import (
    LEAST_SIGMA,
    add_noise,
    draw_sigma,
    euler,
    noise_levels,
    noise_levels_from,
    velocity_loss,
)


@pytest.mark.parametrize("steps", [1, 5])
def test_one_step_with_the_true_velocity_returns_the_picture(steps):
    random = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 2, 3, 4, generator=random)
    levels: list[float] = []

    def denoise(z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        level = sigma.view(-1, 1, 1)
        torch.testing.assert_close(z, (1 - level) * clean + level * noise)  # it stays on the straight line
        levels.append(float(sigma[0]))
        return clean

    torch.testing.assert_close(euler(denoise, noise, noise_levels(steps)), clean)
    assert len(levels) == steps
    assert levels[0] == 1


def test_levels_fall_from_one_to_nothing_and_are_denser_at_the_start():
    levels = noise_levels(12)
    assert levels[0] == 1
    assert levels[-1] == 0
    assert len(levels) == 13
    steps = -levels.diff()
    assert (steps > 0).all()
    assert (steps.diff() > 0).all()
    begun = noise_levels_from(0.7, 12)
    assert begun[0] == pytest.approx(0.7)
    assert begun[-1] == 0
    assert (begun.diff() < 0).all()
    assert len(noise_levels_from(0.01, 12)) == 2


def test_a_share_of_the_samples_is_noise_alone():
    sigma = draw_sigma(4000, 0.4, torch.Generator().manual_seed(0))
    assert 0.36 < (sigma == 1).float().mean() < 0.44
    assert (sigma > 0).all()
    assert (sigma <= 1).all()
    clean = torch.ones(2, 3)
    noised = add_noise(clean, torch.tensor([1.0, 0.0]), torch.Generator().manual_seed(0))
    assert torch.equal(noised[1], clean[1])
    assert not torch.isclose(noised[0], clean[0]).any()


def test_the_loss_is_that_of_the_velocity_on_unknown_cells():
    """Against the definition, target ε - x, in float64 and cell by cell."""
    random = torch.Generator().manual_seed(0)
    shape = 3, 2, 2, 4, 5, 5
    clean, noise, predicted = (torch.randn(shape, generator=random) for _ in range(3))
    sigma = torch.tensor([0.3, 1.0, LEAST_SIGMA])
    unknown = torch.tensor([[[0.0, 0], [1, 1]], [[0, 0], [0, 1]], [[0, 0], [1, 0]]])
    total = 0.0
    for b in range(3):
        z = (1 - sigma[b]) * clean[b] + sigma[b] * noise[b]
        wrong = ((z - predicted[b]) / sigma[b] - (noise[b] - clean[b])).double().square()
        cells = [wrong[v, t].mean() for v in range(2) for t in range(2) if unknown[b, v, t]]
        total += float(sum(cells)) / len(cells) / 3
    assert float(velocity_loss(predicted, clean, unknown, sigma)) == pytest.approx(total, rel=1e-4)
