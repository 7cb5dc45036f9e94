"""Points on a moving surface, tracked over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ar4d.scenes.mesh import CUTOUT_THRESHOLD, AlphaMode, Clip, Part


def surface_points(clip: Clip, count: int, seed: int = 0) -> NDArray[np.float32]:
    """Points [F, count, 3] spread evenly over the surface, each at the same place of it in all frames.

    "Evenly" is by the triangles' mean areas over the frames. Holes of cut-out textures have no points; inner
    surfaces have.
    """
    random = np.random.default_rng(seed)
    areas = [_areas(part) for part in clip.parts]
    starts = np.cumsum([0, *(len(a) for a in areas)])
    until = np.cumsum(np.concatenate(areas))
    found: list[NDArray[np.float32]] = []
    while sum(points.shape[1] for points in found) < count:
        triangles = np.searchsorted(until, random.random(count) * until[-1], side="right")
        root, side = np.sqrt(random.random(count)), random.random(count)
        weights = np.stack([1 - root, root * (1 - side), root * side], 1)
        order = np.minimum(triangles, len(until) - 1)
        owners = np.searchsorted(starts, order, side="right") - 1
        batch = np.empty((clip.frames, count, 3), np.float32)
        solid = np.ones(count, bool)
        for k, part in enumerate(clip.parts):
            mine = np.flatnonzero(owners == k)
            corners, shares = part.faces[order[mine] - starts[k]], weights[mine]
            a, b, c = (part.vertices[:, corners[:, j]] * shares[None, :, j, None] for j in range(3))
            batch[:, mine] = a + b + c
            solid[mine] = _is_solid(part, corners, shares)
        found.append(batch[:, solid])
    return np.concatenate(found, axis=1)[:, :count]


def _areas(part: Part) -> NDArray[np.float64]:
    """The triangles' mean areas over the frames."""
    a, b, c = (part.vertices[:, part.faces[:, k]].astype(np.float64) for k in range(3))
    normals = np.cross(b - a, c - a)
    return np.sqrt((normals[..., 0] ** 2 + normals[..., 1] ** 2) + normals[..., 2] ** 2).mean(0) / 2


def _is_solid(part: Part, corners: NDArray[np.int32], shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points lie in no hole of the texture."""
    if part.alpha_mode != AlphaMode.CUTOUT or part.texture is None:
        return np.ones(len(corners), bool)
    a, b, c = (part.uvs[corners[:, j]] * shares[:, j, None] for j in range(3))
    uv = a + b + c
    height, width = part.texture.shape[:2]
    column = np.floor(uv[:, 0] * width).astype(np.int64) % width
    row = np.floor(uv[:, 1] * height).astype(np.int64) % height
    return part.texture[row, column, 3] >= CUTOUT_THRESHOLD * 255
