"""The parts of procedural objects: ellipsoids and boxes with solid textures in their own coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Coat:
    """A solid texture, symmetric about z = 0: a back, a lighter belly, and marks where waves add up."""

    back: Vector  # [3]
    belly: Vector  # [3]
    marks: Vector  # [3]
    edge: float  # height in a part, from -1 to 1, of the belly's upper edge
    waves: Vector  # [K, 3] wave vectors
    phases: Vector  # [K] radians
    level: float  # sum of the waves above which there are marks

    def colors_at(self, own: Vector, place: Vector) -> Vector:
        """Colours [N, 3] at a part's own coordinates [N, 3] and the same points' coordinates in the coat."""
        low = np.clip((self.edge - own[:, 1:2]) / 0.3 + 0.5, 0, 1)
        colors = self.back + (self.belly - self.back) * low
        if len(self.waves):
            across = np.cos(place[:, :2] @ self.waves[:, :2].T + self.phases)
            total = (across * np.cos(place[:, 2:] * self.waves[:, 2])).sum(1) / math.sqrt(len(self.waves))
            there = np.clip((total - self.level) / 0.12, 0, 1)[:, None] * (1 - 0.7 * low)
            colors = colors + (self.marks - colors) * there
        return colors


@dataclass(frozen=True)
class Part:
    """An ellipsoid or a box."""

    centre: Vector  # [3]
    rotation: Vector  # [3, 3], columns are the part's own axes
    half: Vector  # [3] half axes
    colors: Vector  # [2, 3] between which the pattern changes
    pattern: Vector  # [3] wave numbers along the own axes
    box: bool = False
    coat: Coat | None = None  # replaces colours and pattern
    cloth: Vector = field(default_factory=lambda: np.zeros((2, 3)))  # centre and half size on the coat

    def colors_at(self, own: Vector) -> Vector:
        """Colours [..., 3] at own coordinates [..., 3], symmetric in z."""
        if self.coat is not None:
            flat = own.reshape(-1, 3)
            return self.coat.colors_at(flat, self.cloth[0] + flat * self.cloth[1]).reshape(own.shape)
        even = np.concatenate([own[..., :2], np.abs(own[..., 2:])], -1)
        wave = 0.5 + 0.5 * np.sin(even * self.pattern * math.pi).prod(-1, keepdims=True)
        return self.colors[0] + (self.colors[1] - self.colors[0]) * np.clip(4 * wave - 1.5, 0, 1)


Pose = Callable[[float], list[Part]]
"""Gives an object's parts at a phase in [0, 1) of its movement."""
Making = Callable[[np.random.Generator], Pose]
"""Makes a random object."""


class Maker:
    """Makes the parts of one random object in four colours."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.palette = random.uniform(0.05, 0.95, (4, 3))
        self.waves = random.uniform(0, 4, (4, 3)) * (random.random(4) < 0.6)[:, None]

    def part(
        self,
        centre: tuple[float, float, float],
        half: tuple[float, float, float],
        color: int,
        turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
        box: bool = False,
    ) -> Part:
        """A part in the given colour of the palette, turned by angles about x, y and z in radians."""
        colors = np.stack([self.palette[color], self.palette[(color + 1) % 4]])
        centre_, half_ = np.array(centre), np.maximum(np.array(half), 0.004)
        return Part(centre_, rotation(*turn), half_, colors, self.waves[color], box)

    def limb(
        self, start: Vector, length: float, thickness: float, angles: list[float], color: int
    ) -> list[Part]:
        """A chain of links that hangs from `start`; each angle turns a link about z relative to the last."""
        parts, place, angle = [], start, 0.0
        for bend in angles:
            angle += bend
            direction = np.array([math.sin(angle), -math.cos(angle), 0.0])
            step = length / len(angles)
            centre = place + direction * step / 2
            half = (thickness, step * 0.58, thickness)
            parts.append(self.part((centre[0], centre[1], centre[2]), half, color, (0, 0, angle)))
            place = place + direction * step
            thickness *= 0.8
        return parts


def rotation(about_x: float, about_y: float, about_z: float) -> Vector:
    """The rotation R_z R_y R_x by angles in radians."""
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(a), math.sin(a)) for a in (about_x, about_y, about_z))
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return rz @ ry @ rx


def moved(parts: list[Part], turn: Vector, shift: Vector) -> list[Part]:
    """The parts turned about the origin and then shifted."""
    return [replace(p, centre=turn @ p.centre + shift, rotation=turn @ p.rotation) for p in parts]
