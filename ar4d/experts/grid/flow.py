"""Rectified flow (4Real-Video's loss): z_σ = (1 - σ) x + σ ε, velocity ε - x.

The network predicts x; the loss is the velocity's, the squared error over σ², because patches of noise do not
fit through a narrow network. A large share of the training samples is noise alone (σ = 1), where the best
answer is the mean of all: that is what sampling starts from.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

LEAST_SIGMA = 0.1
"""Noise level below which the loss does not grow any further."""
SIGMA_MEAN, SIGMA_STD = 0.6, 1.2
"""Of the noise level's logit in training."""
BEND = 3.0
"""How much denser a sampling's steps are at high noise."""

Denoise = Callable[[Tensor, Tensor], Tensor]
"""Clean pictures of noised ones [B, …] and their noise levels [B]."""


def draw_sigma(count: int, pure: float, random: torch.Generator) -> Tensor:
    """Noise levels [count]: 1 with probability `pure`, else logit-normal."""
    device = random.device
    sigma = torch.sigmoid(SIGMA_MEAN + SIGMA_STD * torch.randn(count, generator=random, device=device))
    return torch.where(torch.rand(count, generator=random, device=device) < pure, 1.0, sigma)


def add_noise(clean: Tensor, sigma: Tensor, random: torch.Generator) -> Tensor:
    """z_σ of pictures [B, …] at noise levels [B]."""
    level = sigma.view(-1, *(1,) * (clean.ndim - 1))
    noise = torch.randn(clean.shape, generator=random, device=clean.device, dtype=clean.dtype)
    return (1 - level) * clean + level * noise


def velocity_loss(predicted: Tensor, clean: Tensor, unknown: Tensor, sigma: Tensor) -> Tensor:
    """Mean squared error of the velocity over the unknown cells of each grid.

    Args:
        predicted, clean: [B, V, T, 4, H, W].
        unknown: [B, V, T] 1 for cells that count, else 0.
        sigma: [B].
    """
    wrong = (predicted.float() - clean).square().mean((3, 4, 5))
    each = (wrong * unknown).sum((1, 2)) / unknown.sum((1, 2)).clamp_min(1)
    return (each / sigma.clamp_min(LEAST_SIGMA).square()).mean()


def noise_levels(steps: int) -> Tensor:
    """[steps + 1] from 1 to 0; several steps lie closer where there is more noise."""
    line = torch.linspace(1, 0, steps + 1)
    return line if steps == 1 else BEND * line / (1 + (BEND - 1) * line)


def noise_levels_from(sigma: float, steps: int) -> Tensor:
    """The same from `sigma` to 0, in as many steps as `noise_levels` takes from there, at least one."""
    lower = noise_levels(steps)
    lower = lower[lower < sigma]
    return torch.cat([torch.tensor([sigma]), lower])


def euler(denoise: Denoise, start: Tensor, sigmas: Tensor) -> Tensor:
    """Euler's method along dz/dσ = (z - x̂) / σ, from z [B, …] at the first of the noise levels to the last.

    Locked by `test_one_step_with_the_true_velocity_returns_the_picture` (tests/experts/grid/test_flow.py).
    """
    z = start
    for now, after in pairwise(sigmas):
        clean = denoise(z, now.expand(len(z)))
        z = clean + (after / now) * (z - clean)
    return z
