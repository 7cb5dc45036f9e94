"""Flat Gaussians along a surface, as the experts that build surfaces make them."""

from __future__ import annotations

import torch
from torch import Tensor

from ar4d.cameras import orbit
from ar4d.gaussians import Gaussians, quaternions, rotation_matrices


def surfels(
    means: Tensor, tangents: Tensor, colors: Tensor, opacities: Tensor | float, bounds: tuple[float, float]
) -> Gaussians:
    """Gaussians whose covariance is Σ a aᵀ over two tangents each, with scales kept in bounds.

    Args:
        means: [n, 3].
        tangents: [n, 2, 3] standard deviations along the surface, world units.
        colors: [n, 3].
        opacities: [n], or one for all.
        bounds: least and largest standard deviation, world units.
    """
    variances, directions = torch.linalg.eigh(tangents.transpose(1, 2) @ tangents)
    directions = directions.clone()
    directions[:, :, 0] *= torch.linalg.det(directions).sign()[:, None]
    return Gaussians(
        means=means.float().contiguous(),
        quats=quaternions(directions).float(),
        scales=variances.clamp_min(0).sqrt().clamp(*bounds).float(),
        opacities=opacities * torch.ones(len(means)),
        colors=colors.float().clamp(0, 1).contiguous(),
    )


def to_world(gaussians: Gaussians, elevation_deg: float) -> Gaussians:
    """Turns what a camera at elevation 0 would see so that one at `elevation_deg` sees it."""
    if elevation_deg == 0:
        return gaussians
    level, raised = (orbit(0.0, e, size=1).viewmats[0, :3, :3] for e in (0.0, elevation_deg))
    turn = raised.T @ level
    rotations = turn @ rotation_matrices(gaussians.quats)
    return Gaussians(
        gaussians.means @ turn.T,
        quaternions(rotations),
        gaussians.scales,
        gaussians.opacities,
        gaussians.colors,
    )
