"""Solids that procedural objects are built of, their textures, and joints between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ar4d.scenes.mesh import ByteArray, Clip, Part

Numbers = NDArray[np.float64]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Solid:
    """A mesh at rest."""

    points: Numbers
    """[V, 3]."""
    faces: NDArray[np.int64]
    """[T, 3]."""
    uvs: Numbers
    """[V, 2] in [0, 1]."""
    flat: bool = False


def _grid(rows: int, columns: int) -> NDArray[np.int64]:
    """The faces of a grid of rows + 1 times columns + 1 vertices."""
    corner = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).reshape(-1)
    right, below = corner + 1, corner + columns + 1
    return np.concatenate([np.stack([corner, right, below], 1), np.stack([right, below + 1, below], 1)])


def _sheet(rows: int, columns: int) -> tuple[Numbers, Numbers, Numbers]:
    """Coordinates u and v in [0, 1] of a grid's vertices, and both as [V, 2]."""
    v, u = (
        x.reshape(-1) / n for x, n in zip(np.mgrid[: rows + 1, : columns + 1], (rows, columns), strict=True)
    )
    return u, v, np.stack([u, v], 1)


def ellipsoid(half: Sequence[float], rings: int = 14, segments: int = 20) -> Solid:
    """An ellipsoid about the origin with the given half axes."""
    u, v, uvs = _sheet(rings, segments)
    around, down = 2 * math.pi * u, math.pi * v
    points = np.stack([np.sin(down) * np.sin(around), np.cos(down), np.sin(down) * np.cos(around)], 1)
    return Solid(points * np.array(half), _grid(rings, segments), uvs)


def box(half: Sequence[float]) -> Solid:
    """A box about the origin with the given half sides."""
    points, faces, uvs = [], [], []
    square = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], float)
    for axis in range(3):
        for side in (-1.0, 1.0):
            points.append(np.insert(square, axis, side, axis=1))
            faces.append(np.array([[0, 1, 2], [1, 3, 2]]) + 4 * len(faces))
            uvs.append((square + 1) / 2)
    return Solid(np.concatenate(points) * np.array(half), np.concatenate(faces), np.concatenate(uvs), True)


def tube(length: float, bottom: float, top: float, segments: int = 16) -> Solid:
    """A closed cone or cylinder along y from 0 to `length`, with a radius at each end."""
    rows = np.array([[0, 0], [0, bottom], [0, bottom], [length, top], [length, top], [length, 0]], float)
    u, _, uvs = _sheet(5, segments)
    height, radius = np.repeat(rows, segments + 1, axis=0).T
    points = np.stack([radius * np.sin(2 * math.pi * u), height, radius * np.cos(2 * math.pi * u)], 1)
    return Solid(points, _grid(5, segments), uvs, True)


def ring(radius: float, thickness: float, segments: int = 36, around: int = 10) -> Solid:
    """A torus about the x axis."""
    u, v, uvs = _sheet(around, segments)
    reach = radius + thickness * np.cos(2 * math.pi * v)
    across = thickness * np.sin(2 * math.pi * v)
    points = np.stack([across, reach * np.cos(2 * math.pi * u), reach * np.sin(2 * math.pi * u)], 1)
    return Solid(points, _grid(around, segments), uvs)


def stripes(one: Colour, other: Colour, columns: int, rows: int = 1, grain: int = 0) -> ByteArray:
    """A texture of fields in two colours, with some grain from the seed `grain`."""
    y, x = np.mgrid[:128, :128]
    odd = ((x * columns // 128) + (y * rows // 128)) % 2
    return _textured(odd.astype(float), one, other, grain)


def patches(one: Colour, other: Colour, seed: int, cells: int = 7) -> ByteArray:
    """A texture of soft patches in two colours that repeats."""
    values = np.random.default_rng(seed).random((cells, cells))
    at = np.arange(128) * cells / 128
    low, mix = np.floor(at).astype(int), at - np.floor(at)
    mix = mix * mix * (3 - 2 * mix)
    high = (low + 1) % cells
    rows = values[low] * (1 - mix[:, None]) + values[high] * mix[:, None]
    field = rows[:, low] * (1 - mix) + rows[:, high] * mix
    return _textured(np.clip(6 * (field - 0.5) + 0.5, 0, 1), one, other, seed)


def _textured(share: Numbers, one: Colour, other: Colour, seed: int) -> ByteArray:
    grain = 0.9 + 0.2 * np.random.default_rng(seed).random((128, 128, 1))
    colour = np.array(one) * (1 - share[..., None]) + np.array(other) * share[..., None]
    rgb = np.clip(np.floor(colour * grain * 255 + 0.5), 0, 255)
    return np.concatenate([rgb, np.full((128, 128, 1), 255)], -1).astype(np.uint8)


class Assembly:
    """An object of solids, each moved by a transform [F, 4, 4]."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.parts: list[Part] = []

    @property
    def phases(self) -> Numbers:
        """2π times the share of the cycle, [F]."""
        return 2 * math.pi * np.arange(self.frames) / self.frames

    def still(self, *place: float) -> Numbers:
        """The transform of something at a place that does not move."""
        matrix = np.tile(np.eye(4), (self.frames, 1, 1))
        matrix[:, :3, 3] = place or (0, 0, 0)
        return matrix

    def joint(self, parent: Numbers, place: Sequence[float], axis: str, angles: Numbers | float) -> Numbers:
        """A turn about an axis of `parent` at a place in it.

        Args:
            axis: "x", "y" or "z".
            angles: [F] or one, in radians.
        """
        angles = np.broadcast_to(angles, self.frames)
        first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        turn = self.still(*place)
        turn[:, first, first] = turn[:, second, second] = np.cos(angles)
        turn[:, second, first] = np.sin(angles)
        turn[:, first, second] = -np.sin(angles)
        return parent @ turn

    def add(
        self,
        solid: Solid,
        where: Numbers,
        look: Colour | ByteArray,
        place: Sequence[float] = (0, 0, 0),
    ) -> None:
        """Add a solid at a place in `where`, with a colour or a texture."""
        points = np.concatenate([solid.points + np.array(place), np.ones((len(solid.points), 1))], 1)
        vertices = (points @ where.transpose(0, 2, 1))[..., :3]
        texture, colour = (look, (1.0, 1.0, 1.0)) if isinstance(look, np.ndarray) else (None, look)
        self.parts.append(
            Part(
                vertices.astype(np.float32),
                solid.faces.astype(np.int32),
                solid.uvs.astype(np.float32),
                texture,
                colour=colour,
                flat=solid.flat,
            )
        )

    def between(
        self, where: Numbers, start: Sequence[float], end: Sequence[float], radius: float, look: Colour
    ) -> None:
        """Add a straight rod between two places in `where`."""
        a, way = np.array(start, float), np.array(end, float) - np.array(start, float)
        length = math.sqrt(float(way @ way))
        up = way / length
        helper = np.array([1.0, 0, 0]) if abs(up[0]) < 0.9 else np.array([0, 0, 1.0])
        side = np.cross(helper, up)
        side /= math.sqrt(float(side @ side))
        rod = tube(length, radius, radius, 10)
        turn = np.stack([side, up, np.cross(side, up)], 1)
        self.add(Solid(rod.points @ turn.T + a, rod.faces, rod.uvs, rod.flat), where, look)

    def clip(self) -> Clip:
        return Clip(tuple(self.parts))
