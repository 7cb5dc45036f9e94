"""Depths of visual hulls: what silhouettes alone tell of an object's shape.

Grids that are stored as pictures have no depth. The first point of a ray that lies within the silhouettes of
all views is never behind the surface, and near enough to it for the first part of a training.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ar4d.cameras import RADIUS, orbit
from ar4d.experts.star.rays import view_rays
from ar4d.experts.star.splats import DEPTH_RANGE

STEPS = 40
SOLID = 0.5


def hull_depth(alpha: Tensor, azimuths_deg: tuple[float, ...], grid: int) -> Tensor:
    """Depths [B, V, S, S] of the visual hull, each of a cell of grid² cells; 0 where a ray misses the hull.

    Args:
        alpha: [B, V, S, S] of the views; `grid` divides S.
        azimuths_deg: of the views, at elevation 0.
        grid: rays along each side.
    """
    size = alpha.shape[-1]
    pixels, depths = _samples(azimuths_deg, grid, size)
    silhouettes = (alpha > SOLID).flatten(2)
    inside = torch.ones((), dtype=torch.bool)
    for view in range(len(azimuths_deg)):
        inside = inside & silhouettes[:, view][:, pixels[view]]
    first = inside.byte().argmax(-1)
    cells = torch.where(inside.any(-1), depths[first], 0.0)
    return cells.repeat_interleave(size // grid, -2).repeat_interleave(size // grid, -1)


@cache
def _samples(azimuths_deg: tuple[float, ...], grid: int, size: int) -> tuple[Tensor, Tensor]:
    """Pixels [V', V, grid, grid, STEPS] in which a view V' sees the samples of all rays, and their depths."""
    origins, directions = view_rays(azimuths_deg, grid, torch.device("cpu"))
    depths = RADIUS + torch.linspace(-DEPTH_RANGE, DEPTH_RANGE, STEPS)
    points = origins[..., None, :] + directions[..., None, :] * depths[:, None]
    cameras = orbit(azimuths_deg, size=size)
    turns, shifts = cameras.viewmats[:, :3, :3], cameras.viewmats[:, :3, 3]
    local = torch.einsum("wij,vyxdj->wvyxdi", turns, points) + shifts[:, None, None, None, None]
    places = cameras.Ks[0, 0, 0] * local[..., :2] / local[..., 2:] + size / 2
    columns, rows = places.floor().long().clamp(0, size - 1).unbind(-1)
    return rows * size + columns, depths
