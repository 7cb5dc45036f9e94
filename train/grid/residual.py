"""The 3D residual: what no set of Gaussians can show is not consistent between views."""

from __future__ import annotations

import torch
from torch import Tensor

from ar4d.cameras import orbit
from ar4d.gaussians import Gaussians
from ar4d.losses import psnr
from ar4d.parameters import Parameters
from ar4d.rendering import render
from ar4d.settings import LearningRates

GAUSSIANS, STEPS = 1500, 150
RATES = LearningRates(means=5e-3, colors=3e-2, scales=1e-2, opacities=3e-2, quats=5e-3)
RADIUS, SCALE = 0.4, 0.03


def residual_psnr(
    views: Tensor, azimuths_deg: tuple[float, ...], count: int = GAUSSIANS, steps: int = STEPS
) -> float:
    """PSNR of Gaussians fitted to the views of one moment, against these views.

    Args:
        views: [V, 4, S, S] premultiplied in [0, 1], at elevation 0.
        azimuths_deg: V.
        count: number of Gaussians.
        steps: of the fit.
    """
    target = (views[:, :3] + 1 - views[:, 3:]).permute(0, 2, 3, 1)
    cameras = orbit(azimuths_deg, size=views.shape[-1])
    parameters = Parameters.of(_ball(count), sigmoid_colors=True)
    groups = [{"params": [tensor], "lr": lr} for tensor, lr in parameters.trainable(RATES)]
    optimizer = torch.optim.Adam(groups)
    for _ in range(steps):
        view = render(parameters.activated(), cameras)
        loss = (view.rgb - target).abs().mean() + (view.alpha - views[:, 3]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return float(psnr(render(parameters.activated(), cameras).rgb, target).mean())


def _ball(count: int) -> Gaussians:
    """Grey Gaussians in a ball."""
    random = torch.Generator().manual_seed(0)
    places = torch.randn(count, 3, generator=random)
    means = (
        RADIUS * places / places.norm(dim=1, keepdim=True) * torch.rand(count, 1, generator=random) ** (1 / 3)
    )
    quats = torch.zeros(count, 4)
    quats[:, 0] = 1
    return Gaussians(
        means,
        quats,
        torch.full((count, 3), SCALE),
        torch.full((count,), 0.3),
        torch.full((count, 3), 0.5),
    )
