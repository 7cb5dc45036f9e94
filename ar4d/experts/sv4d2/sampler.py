"""Sampling as in `simple_video_sample_4d2.py`: Euler steps over Karras' noise levels, guidance per row.

EDM (Karras et al., arXiv 2206.00364) around a network that predicts v:
D(x; σ) = c_skip·x + c_out·F([c_in·x, concat], ¼ ln σ) with c_skip = 1/(σ²+1), c_out = -σ/√(σ²+1),
c_in = 1/√(σ²+1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ar4d.experts.sv4d2.conditioning import Conditioning
from ar4d.experts.sv4d2.config import Sv4d2Config
from ar4d.experts.sv4d2.unet import DenoisingUNet

SIGMA_MAX, SIGMA_MIN, RHO = 700.0, 0.002, 7.0
OnStep = Callable[[int, int], None]
"""Called after every step with the steps done and their total; may raise to stop the sampling."""


def noise_levels(steps: int) -> Tensor:
    """[steps + 1] float32: σ_i = (σ_max^⅐ + i/(n-1)·(σ_min^⅐ - σ_max^⅐))^7 for i < n, then 0."""
    ramp = torch.linspace(0, 1, steps)
    first, last = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return torch.cat([(first + ramp * (last - first)) ** RHO, torch.zeros(1)])


def noise_levels_from(sigma: float, steps: int) -> Tensor:
    """`sigma`, then those of the `noise_levels` that are lower: what noised pictures are denoised by."""
    levels = noise_levels(steps)
    return torch.cat([torch.tensor([sigma]), levels[levels < sigma]])


def guidance(config: Sv4d2Config) -> Tensor:
    """[T*V] weights of the conditional prediction, by row.

    "linear" grows over all rows, in row order. "triangle" grows over the frames and, half as much each,
    from the first and the last view to the middle.
    """
    low, high = config.guidance_range
    frames, views = config.frames, config.views
    if config.guidance == "linear":
        return torch.linspace(low, high, frames * views)
    along = torch.linspace(0, 1, frames)[:, None]
    across = torch.linspace(0, 1, views)
    triangle = 2 * (across - (across + 0.5).floor()).abs()
    return (low + (high - low) * (along + triangle) / 2).flatten()


def start(noise: Tensor) -> Tensor:
    """Standard normal noise scaled to the first noise level: x = ε·√(1 + σ_max²)."""
    return noise * (1 + noise_levels(2)[0] ** 2).sqrt()


def denoised(
    unet: DenoisingUNet, x: Tensor, sigma: Tensor, halves: Sequence[Conditioning]
) -> Tensor:  # [B, T*V, 4, h, w]
    """D(x; σ) under each of the conditionings, in one pass of the network.

    Args:
        x: [T*V, 4, h, w], on the device where the network runs; the same for all halves.
        sigma: noise level, a scalar.
    """
    dtype = next(unet.parameters()).dtype  # their device may be another one, where blocks come and go
    scale = (sigma**2 + 1).sqrt()
    views = halves[0].views

    def stacked(name: str) -> Tensor:
        return torch.stack([getattr(half, name) for half in halves]).to(x.device, dtype)

    concat = stacked("concat").repeat_interleave(views, dim=1)  # [B, T*V, 4, h, w]
    scaled = (x / scale).to(dtype).expand(len(halves), *x.shape)
    prediction = unet(
        torch.cat([scaled, concat], dim=2).flatten(0, 1),
        (sigma.log() / 4).to(x.device).expand(len(halves) * len(x)),
        stacked("clip"),
        stacked("vector").flatten(0, 1),
        stacked("reference"),
    )
    prediction = prediction.to(x.dtype).unflatten(0, (len(halves), -1))
    return x / scale**2 - prediction * sigma / scale


@torch.no_grad()
def sample(
    unet: DenoisingUNet,
    x: Tensor,
    conditioning: Conditioning,
    weights: Tensor,
    sigmas: Tensor,
    *,
    halves_at_once: bool = True,
    on_step: OnStep | None = None,
) -> Tensor:
    """Takes latents from the first of the noise levels to the last by Euler steps.

    x ← x + (σ_{i+1} - σ_i)·(x - D)/σ_i with D = D_u + g·(D_c - D_u).

    Args:
        unet: in any floating type; the latents stay in theirs.
        x: [T*V, 4, h, w] at the noise level `sigmas[0]`, on the device where the network runs.
        weights: [T*V], g.
        sigmas: falling, the last may be 0.
        halves_at_once: whether both guidance halves go through the network together; the result is the
            same, the memory half.
    """
    halves = (conditioning.unconditional(unet.config), conditioning)
    groups = [halves] if halves_at_once else [(half,) for half in halves]
    g = weights.to(x)[:, None, None, None]
    steps = len(sigmas) - 1
    for i in range(steps):
        without, guided = torch.cat([denoised(unet, x, sigmas[i].to(x), group) for group in groups])
        target = without + g * (guided - without)
        x = x + (sigmas[i + 1] - sigmas[i]).to(x) * (x - target) / sigmas[i].to(x)
        if on_step is not None:
            on_step(i + 1, steps)
    return x
