"""Fewer Gaussians that look the same: cells of pixels become one or two by their moments."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.experts.splatt3r.lifting import Splats
from ar4d.gaussians import Gaussians, concatenate, quaternions

EDGE = 0.06  # of log depth: what differs more is another surface
LAYERS = 2  # surfaces that a cell may show: the front, and what an edge leaves of the back
MOST_OPACITY = 0.99
LEAST_SCALE = 1e-5  # world units
COVER = 0.5  # least standard deviation of a full cell's Gaussian, in cells: neighbours close up
ROOM = 1.25  # by how much the budget may be exceeded


def merged(splats: Splats, budget: int) -> Gaussians:
    """About `budget` Gaussians in the reference camera, all views' maps together.

    Cells of k × k pixels are merged, with the smallest k that keeps the budget; at least the views'
    Gaussians of the same pixel are.
    """
    pixels = int((splats.opacities > 0).any(0).sum())
    k = max(1, math.floor((pixels / max(budget, 1)) ** 0.5))
    while True:
        gaussians = _merged(splats, k)
        if len(gaussians) <= ROOM * budget or k >= min(splats.opacities.shape[1:]):
            return gaussians
        k += 1


def _merged(splats: Splats, k: int) -> Gaussians:
    means, covariances = _cells(splats.means, k), _cells(splats.covariances.flatten(-2), k)
    opacities, colors = _cells(splats.opacities[..., None], k)[..., 0], _cells(splats.colors, k)
    covariances = covariances.unflatten(-1, (3, 3))
    left, layers = opacities > 0, []
    for _ in range(LAYERS):
        log = torch.where(left, means[..., 2].clamp_min(1e-9).log(), math.inf)
        layer = left & (log - log.amin(1, keepdim=True) < EDGE)
        cells = layer.any(1)
        weights = opacities[cells] * layer[cells]
        least = COVER**2 * k * k * splats.pixel_area * layer[cells].double().mean(1)
        layers.append(_moments(means[cells], covariances[cells], weights, colors[cells], least))
        left = left & ~layer
    return concatenate(layers)


def _cells(maps: Tensor, k: int) -> Tensor:
    """[V, H, W, C] become [cells, V·k·k, C]; zeros fill the last cells of a row or column."""
    views, height, width, channels = maps.shape
    padded = F.pad(maps, (0, 0, 0, -width % k, 0, -height % k))
    grid = padded.reshape(views, padded.shape[1] // k, k, padded.shape[2] // k, k, channels)
    return grid.permute(1, 3, 0, 2, 4, 5).flatten(0, 1).flatten(1, 3)


def _moments(
    means: Tensor, covariances: Tensor, opacities: Tensor, colors: Tensor, least: Tensor
) -> Gaussians:
    """One Gaussian per cell with the mean and covariance of its members [cells, M, …], by opacity.

    Its opacity holds the members' optical thickness: with τ = -log(1 - α) and the area A that a
    Gaussian covers in the picture, τ A = Σ τᵢ Aᵢ.

    Args:
        least: [cells] area in the picture up to which a smaller Gaussian is enlarged.
    """
    weights = (opacities / opacities.sum(1, keepdim=True))[..., None]
    mean = (weights * means).sum(1)
    apart = means - mean[:, None]
    spread = covariances + apart[..., :, None] * apart[..., None, :]
    covariance = (weights[..., None] * spread).sum(1)
    covariance = covariance * (least / picture_area(mean, covariance)).clamp_min(1)[:, None, None]
    thickness = -torch.log1p(-opacities.clamp_max(MOST_OPACITY))
    total = (thickness * picture_area(means, covariances)).sum(1) / picture_area(mean, covariance)
    variances, axes = torch.linalg.eigh(covariance)
    axes[:, :, 0] *= torch.linalg.det(axes).sign()[:, None]
    return Gaussians(
        means=mean.float(),
        quats=quaternions(axes).float(),
        scales=variances.clamp_min(LEAST_SCALE**2).sqrt().float(),
        opacities=(1 - torch.exp(-total)).clamp(1e-4, MOST_OPACITY).float(),
        colors=(weights * colors).sum(1).float().clamp(0, 1),
    )


def picture_area(means: Tensor, covariances: Tensor) -> Tensor:
    """√det of the covariance's projection to slopes (x/z, y/z), linearised at the mean (EWA splatting)."""
    z = means[..., 2].clamp_min(1e-9)
    zero, one = torch.zeros_like(z), torch.ones_like(z)
    jacobian = torch.stack(
        [
            torch.stack([one, zero, -means[..., 0] / z], -1),
            torch.stack([zero, one, -means[..., 1] / z], -1),
        ],
        dim=-2,
    )
    flat = jacobian @ covariances @ jacobian.mT / (z * z)[..., None, None]
    determinant = flat[..., 0, 0] * flat[..., 1, 1] - flat[..., 0, 1] * flat[..., 1, 0]
    return determinant.clamp_min(1e-30).sqrt()
