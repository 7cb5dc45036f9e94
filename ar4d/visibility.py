"""What the clip's own camera sees of each Gaussian: what it does not see, the clip says nothing about."""

from __future__ import annotations

import torch
from torch import Tensor

from ar4d.cameras import Cameras
from ar4d.gaussians import Gaussians
from ar4d.rendering import render

LITTLE = 0.2  # of the mean weight of a Gaussian: from where on one counts as seen rather than hidden


def blending_weights(gaussians: Gaussians, camera: Cameras) -> Tensor:
    """How many pixels each Gaussian fills: Σ over pixels of its weight w_i in Eq. 1.

    A pixel's colour is Σ w_i c_i, so the weights are the derivative of the summed colours by c_i.

    Returns:
        [N], ≥ 0, in pixels.
    """
    colors = torch.zeros_like(gaussians.colors).requires_grad_()
    fixed = gaussians.detach()
    tinted = Gaussians(fixed.means, fixed.quats, fixed.scales, fixed.opacities, colors)
    with torch.enable_grad():
        total = render(tinted, camera, background=None).rgb[..., 0].sum()
    return torch.autograd.grad(total, colors)[0][:, 0].clamp_min(0)


def exposure(gaussians: Gaussians, camera: Cameras) -> Tensor:
    """How much of each Gaussian the camera sees, from 0 (hidden) to 1 (plain).

    e = w² / (w² + w₀²) with the blending weight w and w₀ = 0.2 · mean(w): what glimmers through a gap
    counts as hidden. Neither the picture's size nor the number of Gaussians matters.

    Returns:
        [N] in [0, 1); zeros where nothing is seen at all.
    """
    weights = blending_weights(gaussians, camera)
    middle = LITTLE * weights.mean()
    return weights.square() / (weights.square() + middle.square()).clamp_min(1e-12)
