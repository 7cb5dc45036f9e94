"""Point clouds on procedural objects; every part is a bone."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from train.data.point_clouds import PointCloud, map_in_processes
from train.data.procedural.parts import Part
from train.data.procedural.shapes import FAUNA, KINDS, OTHERS, SYMMETRIC
from train.data.samples import NEIGHBOUR

CANDIDATES = 3
"""Points drawn on a unit sphere or cube for each point of a part."""
OVERSAMPLING = 1.8
"""Points drawn on parts for each point of the object, because many lie inside other parts."""
INSIDE = 0.95
"""Squared radius, in that of a part, below which a point is invisible."""
X_TO_Z = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
"""Rotation from objects that look along x to objects that look along z."""


def procedural_clouds(number: int, pairs: int, count: int, seed: int) -> list[PointCloud]:
    """Point clouds of new random objects, of all kinds in turn; half are animals, a quarter people.

    Args:
        number: of objects.
        pairs: of neighbouring poses of each object.
        count: of points of each object.
        seed: object k is made with the seed `seed + k`.
    """
    kinds = [*FAUNA, *OTHERS, *6 * ["person"], *2 * ["rider"], "vehicle", "plant"]
    jobs = ((kinds[k % len(kinds)], pairs, count, seed + k) for k in range(number))
    return list(map_in_processes(_procedural_cloud, jobs))


def _procedural_cloud(job: tuple[str, int, int, int]) -> PointCloud:
    kind, pairs, count, seed = job
    random = np.random.default_rng(seed)
    pose = KINDS[kind](random)
    start = random.random()
    firsts = (start + np.arange(pairs) / pairs) % 1
    poses = [pose(float(phase)) for first in firsts for phase in (first, (first + NEIGHBOUR) % 1)]
    parts = poses[0]
    areas = np.array([_area(part.half, part.box) for part in parts])
    drawn = np.ceil(OVERSAMPLING * count * areas / areas.sum()).astype(int)
    moves = np.array([[np.c_[p.rotation * p.half, p.centre] for p in parts_now] for parts_now in poses])
    bone = np.repeat(np.arange(len(parts)), drawn)
    pieces = [_points_of_shape(part, int(n), random) for part, n in zip(parts, drawn, strict=True)]
    rest, normals = (np.concatenate(x) for x in zip(*pieces, strict=True))
    hidden = _inside(moves[0], rest, bone) & _inside(moves[pairs // 2 * 2], rest, bone)
    seen = np.flatnonzero(~hidden)
    chosen = seen[np.linspace(0, len(seen) - 1, count).round().astype(int)]
    rest, normals, bone = rest[chosen], normals[chosen], bone[chosen]
    own = np.split(rest, np.searchsorted(bone, np.arange(1, len(parts))))
    colors = np.concatenate([part.colors_at(points) for part, points in zip(parts, own, strict=True)])
    bones = np.zeros((count, 4), np.uint8)
    bones[:, 0] = bone
    weights = np.tile(np.array([1, 0, 0, 0], np.float16), (count, 1))
    matrices = (X_TO_Z @ moves).astype(np.float32)
    return PointCloud(
        f"shape/{kind}", kind in SYMMETRIC, rest.astype(np.float32), normals.astype(np.float32), bones,
        weights, np.concatenate([np.round(255 * colors), np.zeros((count, 1))], 1).astype(np.uint8), matrices,
    )  # fmt: skip


def _area(half: NDArray[np.float64], box: bool) -> float:
    """Surface area of a box, or approximately (Thomsen's formula) of an ellipsoid."""
    a, b, c = half
    return (
        8 * (a * b + b * c + c * a)
        if box
        else 4 * math.pi * (((a * b) ** 1.6 + (b * c) ** 1.6 + (c * a) ** 1.6) / 3) ** (1 / 1.6)
    )


def _inside(
    moves: NDArray[np.float64], own: NDArray[np.float64], bone: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which points lie inside another part.

    Args:
        moves: [parts, 3, 4] transforms of the parts.
        own: [N, 3] points in their part's own coordinates, sorted by part.
        bone: [N] part of each point.

    Returns:
        [N] bool.
    """
    turns, middles = moves[:, :, :3], moves[:, :, 3]
    back = np.linalg.inv(turns).transpose(0, 2, 1)
    reach = np.linalg.norm(turns, axis=1).max(1)
    apart = np.linalg.norm(middles[:, None] - middles, axis=2)
    near = (apart < reach[:, None] + reach) & ~np.eye(len(moves), dtype=bool)
    ends = np.searchsorted(bone, np.arange(len(moves) + 1))
    inside = np.zeros(len(own), bool)
    for part in np.flatnonzero(near.any(1)):
        others, here = np.flatnonzero(near[part]), slice(ends[part], ends[part + 1])
        ways = turns[part].T @ back[others]  # [others, 3, 3]
        starts = (middles[part] - middles[others])[:, None] @ back[others]
        within = own[here] @ ways + starts
        inside[here] = (np.square(within).sum(2) < INSIDE).any(0)
    return inside


@functools.cache
def _ball() -> NDArray[np.float64]:
    """Random points [100,000, 3] on the unit sphere, drawn once."""
    points = np.random.default_rng(0).normal(size=(100_000, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def _points_of_shape(
    part: Part, count: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points [count, 3] on the unit sphere or cube that are uniform on the part, and the normals there."""
    tries = CANDIDATES * count
    if part.box:
        own = random.uniform(-1, 1, (tries, 3))
        axis = random.integers(0, 3, tries)
        side = np.sign(random.uniform(-1, 1, tries))
        own[np.arange(tries), axis] = side
        normal = np.eye(3)[axis] * side[:, None]
    else:
        first = int(random.integers(len(_ball())))
        own = normal = _ball().take(np.arange(first, first + tries), 0, mode="wrap")
    shares = np.cumsum(np.sqrt(np.square(normal) @ (1 / part.half**2)))  # of the area, but for a constant
    chosen = np.searchsorted(shares, (np.arange(count) + random.random()) * shares[-1] / count)
    return own[chosen], normal[chosen]
