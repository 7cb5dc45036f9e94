"""Building blocks of living bodies (chains, links, blobs) and of their movements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from train.data.procedural.parts import Coat, Part, Vector

UP, FORWARD = np.array([0.0, 1, 0]), np.array([1.0, 0, 0])
OVERLAP, SMOOTH = 1.35, 1.9
"""Half lengths of a chain's ellipsoids in steps: the default, and that of bodies."""
PLAIN, NO_PATTERN = np.zeros((2, 3)), np.zeros(3)
"""Colours and pattern of parts that have a coat instead."""


class Body:
    """Makes the parts of one random body.

    All asymmetry comes from `sway` and `askew`, so that a test can switch it off.
    """

    def __init__(self, random: np.random.Generator, coats: dict[str, Coat]) -> None:
        """
        Args:
            random: a generator.
            coats: by the regions that parts name.
        """
        self.random, self.u = random, random.uniform
        self.coats = coats

    def chance(self, share: float) -> bool:
        """True with probability `share`."""
        return bool(self.random.random() < share)

    def askew(self, most: float) -> float:
        """A random angle in [-most, most] by which the body is turned or bent to one side in all poses."""
        return float(self.u(-most, most))

    def sway(self, phase: float, shift: float = 0.0) -> float:
        """Displacement in [-1, 1] of a movement that the sides or limbs make at different times."""
        return math.sin(2 * math.pi * (phase + shift))

    def blob(
        self,
        centre: ArrayLike,
        half: ArrayLike,
        region: str,
        turn: Vector | None = None,
        at: float = 0.0,
        box: bool = False,
    ) -> Part:
        """An ellipsoid or a box.

        Args:
            centre: [3].
            half: [3] half axes.
            region: of the coats.
            turn: [3, 3] rotation.
            at: position along the coat.
            box: make a box.
        """
        coat: Coat = self.coats[region]
        size = np.maximum(np.array(half, float), 0.004)
        rotation = np.eye(3) if turn is None else turn
        cloth = np.stack([[at, 0.0, 0.0], size])
        return Part(np.asarray(centre, float), rotation, size, PLAIN, NO_PATTERN, box, coat, cloth)

    def chain(
        self,
        points: ArrayLike,
        heights: ArrayLike,
        widths: ArrayLike,
        region: str,
        tip: str = "",
        overlap: float = OVERLAP,
    ) -> list[Part]:
        """Overlapping ellipsoids along a spine.

        Args:
            points: [N, 3] of the spine.
            heights: half heights [N], or one for all.
            widths: half widths [N], or one for all.
            region: of the coats.
            tip: region of the last ellipsoid; by default the same.
            overlap: half length of an ellipsoid in steps.
        """
        points = np.asarray(points, float)
        heights, widths = (np.broadcast_to(x, len(points)) for x in (heights, widths))
        along = np.gradient(points, axis=0)
        steps = np.linalg.norm(along, axis=1)
        turns, places = frames(along), np.cumsum(steps)
        halves = overlap * steps
        halves[[0, -1]] = steps[[0, -1]]
        names = [region] * (len(points) - 1) + [tip or region]
        return [
            self.blob(p, (long, h, w), name, turn, at)
            for p, long, h, w, name, turn, at in zip(
                points, halves, heights, widths, names, turns, places, strict=True
            )
        ]

    def link(
        self, a: Vector, b: Vector, radius: float | tuple[float, float], region: str, up: Vector = FORWARD
    ) -> Part:
        """An ellipsoid from joint `a` to joint `b`; `radius` is one for all, or (towards `up`, across)."""
        high, wide = radius if isinstance(radius, tuple) else (radius, radius)
        length = float(np.linalg.norm(b - a))
        return self.blob(
            (a + b) / 2, (0.5 * length + 0.35 * min(high, wide), high, wide), region, frame(b - a, up)
        )

    def limb(
        self, joints: Sequence[Vector], radii: Sequence[float], regions: Sequence[str], up: Vector = FORWARD
    ) -> list[Part]:
        """Links between successive joints."""
        return [
            self.link(a, b, radius, region, up)
            for a, b, radius, region in zip(joints[:-1], joints[1:], radii, regions, strict=True)
        ]


def frame(along: Vector, up: Vector = UP) -> Vector:
    """The rotation [3, 3] that maps x to a direction and y as close to `up` as possible."""
    return frames(along[None], up)[0]


def frames(along: Vector, up: Vector = UP) -> Vector:
    """Rotations [N, 3, 3] as `frame` for directions [N, 3]."""
    x = along / np.maximum(np.sqrt((along * along).sum(1, keepdims=True)), 1e-9)
    steep = np.abs(x @ up) > 0.98
    z = _cross(x, np.where(steep[:, None], up[[1, 0, 2]], up))
    z /= np.maximum(np.sqrt((z * z).sum(1, keepdims=True)), 1e-9)
    return np.stack([x, _cross(z, x), z], 2)


def _cross(a: Vector, b: Vector) -> Vector:
    """Cross products [N, 3]; ten times as fast as np.cross."""
    return a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]]


def heading(pitch: float, yaw: float = 0.0) -> Vector:
    """The direction [3] along x, raised by `pitch` and turned to the left (+z) by `yaw`, radians."""
    return np.array([math.cos(pitch) * math.cos(yaw), math.sin(pitch), math.cos(pitch) * math.sin(yaw)])


def down(angle: float, out: float = 0.0) -> Vector:
    """The direction [3] downwards, swung forwards by `angle` and towards +z by `out`, radians."""
    return np.array([math.sin(angle) * math.cos(out), -math.cos(angle) * math.cos(out), math.sin(out)])


def path(start: Vector, steps: Sequence[Vector]) -> list[Vector]:
    """Joints of a chain: the start and the end of each step."""
    joints = [start]
    for step in steps:
        joints.append(joints[-1] + step)
    return joints


def curve(
    start: Vector, length: float, angles: Sequence[float], yaws: Sequence[float] | float = 0.0
) -> Vector:
    """Points [N + 1, 3] of a spine of a given length, with a pitch and a yaw for each of its N steps."""
    aside = yaws if isinstance(yaws, Sequence) else [yaws] * len(angles)
    step = length / len(angles)
    return np.stack(path(start, [step * heading(p, y) for p, y in zip(angles, aside, strict=True)]))


def mirrored(direction: Vector, side: int) -> Vector:
    """The direction for the left side (1), or its mirror image for the right (-1)."""
    return direction * np.array([1.0, 1.0, side])
