"""A picture with depths becomes Gaussians: one per cell, flat on the surface, torn at its edges.

Depth networks blur the edges of what stands in front. Left as they are, the cells between would be a
rubber sheet from front to back that shows as soon as the camera moves aside. So edges are sharpened
first, no Gaussian is stretched across one, and what lies behind is continued a little under the front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics, orbit
from ar4d.gaussians import Gaussians, multiply_quaternions, quaternions

NEAR, FAR = 0.25 * RADIUS, 4.0 * RADIUS  # depths beyond are pulled in: the sky is a backdrop
EDGE = 0.06  # of log depth between neighbours: a wall seen at 70 degrees has less
MOST_TILT = 4.0  # how many times its cell a Gaussian may be long on a slanting surface
FLATNESS = 0.25  # standard deviation across the surface, in cells
SPREAD = 0.5  # along the surface, in cells
OPACITY = 0.95
HIDDEN_BAND = 0.2  # of the picture's width: how far the back is continued under the front
RING = 4  # cells beside an edge from which the back's depth and colour are taken


def lift_depth(rgba: Tensor, depth: Tensor, cells: int, elevation_deg: float = 0.0) -> Gaussians:
    """Gaussians in world coordinates that show the picture from the reference camera.

    Args:
        rgba: [S, S, 4] in [0, 1], straight alpha; transparent cells become nothing.
        depth: [S, S] along the camera's axis, world units.
        cells: width of the grid, at most S.
        elevation_deg: of the reference camera.
    """
    picture, z = _resample(rgba, depth, cells)
    solid = picture[..., 3] > 0.5
    z = sharpen(np.clip(z, NEAR, FAR), solid)
    means, axes = _surface(z, solid)
    colors = picture[..., :3]
    back = _back(z, solid, max(1, round(HIDDEN_BAND * cells)))
    if back is None:
        shown = colors[solid]
    else:
        behind, taken = z[back.source[0], back.source[1]], colors[back.source[0], back.source[1]]
        means = np.concatenate([means, _unproject(behind)[back.hidden]])
        axes = np.concatenate([axes, _facing(behind[back.hidden], cells)])
        pure = np.where(back.mixed[..., None], taken, colors)
        shown = np.concatenate([pure[solid], taken[back.hidden]])
    gaussians = _surfels(means, axes, shown, means[:, 2] / float(intrinsics(cells)[0, 0]))
    return camera_to_world(gaussians, elevation_deg).to(rgba.device)


def sharpen(z: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """Makes steps of the slopes at edges: a cell that lies between takes the nearer of front and back.

    Args:
        z: [G, G] depths.
        solid: [G, G] which cells count.
    """
    log = np.log(z)
    for _ in range(2):
        low = ndi.minimum_filter(np.where(solid, log, np.inf), 5)
        high = ndi.maximum_filter(np.where(solid, log, -np.inf), 5)
        steep = solid & (high - low > 2 * EDGE) & (_slope(log, solid) > EDGE)
        log = np.where(steep, np.where(log - low < high - log, low, high), log)
    return np.exp(log)


def _slope(log: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """The largest difference to a neighbour that counts."""
    steepest = np.zeros_like(log)
    for axis in (0, 1):
        for step in (1, -1):
            both = solid & np.roll(solid, step, axis) & _inner(log.shape, axis, step)
            difference = np.where(both, np.abs(log - np.roll(log, step, axis)), 0)
            steepest = np.maximum(steepest, difference)
    return steepest


def _inner(shape: tuple[int, ...], axis: int, step: int) -> np.ndarray:
    """False where rolling by `step` would bring in the opposite border."""
    inner = np.ones(shape, bool)
    edge: list[slice | int] = [slice(None)] * len(shape)
    edge[axis] = 0 if step > 0 else -1
    inner[tuple(edge)] = False
    return inner


def _resample(rgba: Tensor, depth: Tensor, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture [G, G, 4] averaged as light, the depths [G, G] at the cells' middles: no mixed depths."""
    light = torch.cat([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], -1).permute(2, 0, 1)[None]
    small = F.interpolate(light.float().cpu(), size=(cells, cells), mode="area")[0].permute(1, 2, 0).numpy()
    z = F.interpolate(depth[None, None].float().cpu(), size=(cells, cells), mode="nearest-exact")[0, 0]
    straight = np.concatenate([small[..., :3] / np.maximum(small[..., 3:], 1e-3), small[..., 3:]], -1)
    return straight.clip(0, 1), z.numpy().astype(np.float64)


def _surface(z: np.ndarray, solid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means [n, 3] and two tangents of one cell each [n, 2, 3] of the cells that count."""
    points, cells = _unproject(z), len(z)
    facing = np.zeros((*z.shape, 2, 3))
    facing[solid] = _facing(z[solid], cells)
    axes = np.stack([_tangent(points, z, solid, axis) for axis in (1, 0)], axis=2)
    alone = np.linalg.norm(axes, axis=-1, keepdims=True) == 0
    return points[solid], np.where(alone, facing, axes)[solid]


def _tangent(points: np.ndarray, z: np.ndarray, solid: np.ndarray, axis: int) -> np.ndarray:
    """The step to the next cell along `axis`, over no edge: central where both neighbours hang together."""
    log = np.log(z)

    def joined(step: int) -> np.ndarray:
        near = np.abs(log - np.roll(log, step, axis)) < EDGE
        return (solid & np.roll(solid, step, axis) & near & _inner(z.shape, axis, step))[..., None]

    after, before = np.roll(points, -1, axis), np.roll(points, 1, axis)
    has_after, has_before = joined(-1), joined(1)
    one_sided = np.where(has_after, after - points, np.where(has_before, points - before, 0))
    return np.where(has_after & has_before, (after - before) / 2, one_sided)


def _facing(z: np.ndarray, cells: int) -> np.ndarray:
    """Tangents [n, 2, 3] of cells that face the camera, at depths [n]."""
    step = z / float(intrinsics(cells)[0, 0])
    zero = np.zeros_like(step)
    return np.stack([np.stack([step, zero, zero], -1), np.stack([zero, step, zero], -1)], 1)


@dataclass(frozen=True)
class _Back:
    """What lies behind edges, [G, G] each."""

    hidden: np.ndarray  # front cells with a Gaussian of the back behind them
    mixed: np.ndarray  # back cells whose colour is mixed with the front's
    source: np.ndarray  # [2, G, G] the cell of the back from which depth and colour are taken


def _back(z: np.ndarray, solid: np.ndarray, reach: int) -> _Back | None:
    """Continues what lies behind an edge under the front, so that a step aside shows no hole.

    Args:
        reach: how far, in cells.

    Returns:
        None where there is no edge.
    """
    log = np.where(solid, np.log(z), np.inf)
    front = ndi.minimum_filter(log, 2 * RING + 1)
    mixed = solid & (ndi.minimum_filter(log, 3) < log - EDGE)
    ring = solid & (front < log - 2 * EDGE) & ~mixed
    if not ring.any():
        return None
    source = np.zeros((2, *z.shape), np.int32)
    distance = ndi.distance_transform_edt(~ring, return_indices=True, indices=source)
    assert isinstance(distance, np.ndarray)
    deeper = np.log(z[source[0], source[1]]) - np.log(z) > 2 * EDGE
    return _Back(solid & (distance <= reach + RING) & deeper, mixed & (distance <= RING), source)


def _unproject(z: np.ndarray) -> np.ndarray:
    """[G, G, 3] points in the camera (x right, y down, z forward) of the cells' middles at depths [G, G]."""
    cells = len(z)
    focal = float(intrinsics(cells)[0, 0])
    y, x = np.meshgrid(np.arange(cells) + 0.5 - cells / 2, np.arange(cells) + 0.5 - cells / 2, indexing="ij")
    return np.stack([x / focal * z, y / focal * z, z], -1)


def _surfels(means: np.ndarray, axes: np.ndarray, colors: np.ndarray, cell: np.ndarray) -> Gaussians:
    """Flat Gaussians spanned by two tangents each, kept in bounds; `cell` [n] is a cell's width there."""
    a = torch.from_numpy(axes * SPREAD)
    variances, directions = torch.linalg.eigh(a.transpose(1, 2) @ a)
    unit = torch.from_numpy(cell)[:, None]
    scales = torch.minimum(
        torch.maximum(variances.clamp_min(0).sqrt(), FLATNESS * unit), MOST_TILT * SPREAD * unit
    )
    directions[:, :, 0] *= torch.linalg.det(directions).sign()[:, None]
    return Gaussians(
        means=torch.from_numpy(means).float(),
        quats=quaternions(directions).float(),
        scales=scales.float(),
        opacities=torch.full((len(means),), OPACITY),
        colors=torch.from_numpy(colors).float().clamp(0, 1),
    )


def camera_to_world(gaussians: Gaussians, elevation_deg: float) -> Gaussians:
    """From the reference camera's frame (OpenCV) into the world."""
    viewmat = orbit(0.0, elevation_deg, size=1).viewmats[0]
    turn = viewmat[:3, :3].T
    return Gaussians(
        means=(gaussians.means - viewmat[:3, 3]) @ turn.T,
        quats=_turned(gaussians.quats, turn),
        scales=gaussians.scales,
        opacities=gaussians.opacities,
        colors=gaussians.colors,
    )


def _turned(quats: Tensor, turn: Tensor) -> Tensor:
    return multiply_quaternions(quaternions(turn).expand_as(quats), quats)
