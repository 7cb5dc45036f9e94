"""Gaussians as splat files count them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ar4d.formats.viewers import Up
from ar4d.gaussians import Gaussians, multiply_quaternions

SH_C0 = 0.28209479177387814
SMALLEST_OPACITY = 1e-6  # the logit of 0 or 1 is not finite
SMALLEST_SCALE = 1e-8  # the logarithm of 0 is not finite


@dataclass(frozen=True)
class StoredGaussians:
    """What the optimisers of 3D Gaussian splatting hold, not what a renderer uses."""

    means: np.ndarray  # [N, 3]
    f_dc: np.ndarray  # [N, 3] constant spherical-harmonics term, (rgb - 1/2) / C0
    logits: np.ndarray  # [N] of opacities
    log_scales: np.ndarray  # [N, 3]
    quats: np.ndarray  # [N, 4] wxyz, unit

    def __len__(self) -> int:
        return len(self.means)

    @property
    def opacities(self) -> np.ndarray:
        """[N] in (0, 1)."""
        return 1 / (1 + np.exp(-self.logits))

    @property
    def colors(self) -> np.ndarray:
        """[N, 3] sRGB."""
        return self.f_dc * SH_C0 + 0.5


def stored_gaussians(gaussians: Gaussians, up: Up = "y") -> StoredGaussians:
    """Converts activated values to stored ones; `up="-y"` turns everything by 180° about z."""
    g = gaussians.to("cpu").map(torch.Tensor.float)
    means, quats = g.means, torch.nn.functional.normalize(g.quats, dim=-1)
    if up == "-y":
        means, quats = half_turn(means, quats)
    return StoredGaussians(
        means=means.numpy(),
        f_dc=((g.colors - 0.5) / SH_C0).numpy(),
        logits=g.opacities.clamp(SMALLEST_OPACITY, 1 - SMALLEST_OPACITY).logit().numpy(),
        log_scales=g.scales.clamp_min(SMALLEST_SCALE).log().numpy(),
        quats=quats.numpy(),
    )


def half_turn(means: torch.Tensor, quats: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Means [N, 3] and rotations [N, 4] (wxyz), turned by 180° about z, which is its own inverse."""
    turn = quats.new_tensor([0.0, 0.0, 0.0, 1.0])
    return means * means.new_tensor([-1.0, -1.0, 1.0]), multiply_quaternions(turn.expand_as(quats), quats)


def z_order(gaussians: Gaussians) -> torch.Tensor:
    """[N] indices along a Z-order curve through a 1024³ grid around the means."""
    means = gaussians.means
    low, high = means.amin(0), means.amax(0)
    cells = ((means - low) / (high - low).clamp_min(1e-12) * 1023).long()  # [N, 3]
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        cells = (cells | (cells << shift)) & mask  # in the end two zeros follow every bit
    return torch.argsort(cells[:, 0] | (cells[:, 1] << 1) | (cells[:, 2] << 2), stable=True)
