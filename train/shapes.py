"""Objects that are made up: bodies of ellipsoids and boxes, jointed, patterned, in two poses.

Each maker returns parts for a phase of a movement in [0, 1); y is up and the object looks along +x.
Lengths are in arbitrary units, the renderer frames the object.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """An ellipsoid or a box, patterned in its own coordinates."""

    centre: Vector  # [3]
    rotation: Vector  # [3, 3], columns are the own axes
    half: Vector  # [3] half axes
    colors: Vector  # [2, 3] between which the pattern changes
    pattern: Vector  # [3] waves along the own axes
    box: bool = False

    def colors_at(self, own: Vector) -> Vector:
        """[..., 3] at own coordinates [..., 3]."""
        wave = 0.5 + 0.5 * np.sin(own * self.pattern * math.pi).prod(-1, keepdims=True)
        return self.colors[0] + (self.colors[1] - self.colors[0]) * np.clip(4 * wave - 1.5, 0, 1)


class Maker:
    """Makes parts of one random object; a given generator always makes the same one."""

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
        colors = np.stack([self.palette[color], self.palette[(color + 1) % 4]])
        centre_, half_ = np.array(centre), np.maximum(np.array(half), 0.004)
        return Part(centre_, rotation(*turn), half_, colors, self.waves[color], box)

    def limb(
        self, start: Vector, length: float, thickness: float, angles: list[float], color: int
    ) -> list[Part]:
        """A chain of links that hangs from `start`; angles swing it about z, each on top of those before."""
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
    """R_z R_y R_x of angles in radians."""
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(a), math.sin(a)) for a in (about_x, about_y, about_z))
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return rz @ ry @ rx


def creature(random: np.random.Generator) -> Callable[[float], list[Part]]:
    """Four legs, a neck, a head with ears or horns, a tail; some are bulky, some low, some have a trunk."""
    m, u = Maker(random), random.uniform
    build = random.random()
    bulk = u(1.0, 1.6) if build < 0.35 else 1.0
    low = u(1.3, 2.2) if build > 0.75 else 1.0  # lizards
    long, high, wide = low * u(0.7, 1.3), bulk * u(0.2, 0.4) / low, bulk * u(0.16, 0.36)
    leg, thick = u(0.3, 0.9) / (bulk * low**2), bulk * u(0.05, 0.13)
    neck, rise = u(0.2, 0.8) / bulk**2, u(-0.3, 1.2) / low**2
    head, swing, bend = bulk * u(0.12, 0.22), u(0.1, 0.7), u(0.0, 0.6)
    tail, droop = low**1.5 * u(0.1, 0.9), u(-0.5, 1.2)
    stout = 0.05 if low == 1 else high * u(0.4, 0.8)  # tail
    flap, trunk = u(0.3, 1.6) * head, u(0.5, 1.0) if random.random() < 0.2 else 0.0
    curl = random.uniform(-0.5, 0.5, 3).tolist()

    def pose(phase: float) -> list[Part]:
        parts = [m.part((0, 0, 0), (long / 2, high, wide), 0)]
        parts.append(m.part((-long * 0.3, high * 0.1, 0), (long * 0.25, high * 0.95, wide), 0))
        for k, (x, z) in enumerate(((0.36, 1), (0.36, -1), (-0.38, 1), (-0.38, -1))):
            angle = swing * math.sin(2 * math.pi * (phase + (0.0, 0.5, 0.55, 0.05)[k]))
            start = np.array([x * long, -high * 0.4, z * wide * 0.6])
            parts += m.limb(start, leg + high * 0.6, thick, [angle, -bend * (1 - k // 2 * 2), bend * 0.5], 1)
        top = np.array([long * 0.45, high * 0.3, 0.0])
        way = np.array([math.cos(rise), math.sin(rise), 0.0])
        middle, end = top + way * neck / 2, top + way * neck
        parts.append(m.part(tuple(middle), (neck * 0.62, high * 0.4, wide * 0.45), 0, (0, 0, rise)))
        parts.append(m.part((end[0] + head * 0.5, end[1], 0), (head * 1.3, head * 0.8, head * 0.75), 2))
        parts += [
            m.part((end[0], end[1] + head * 0.8, s * head * 0.7), (0.03, head * 0.6, flap), 3)
            for s in (1, -1)
        ]
        if trunk:
            parts += m.limb(np.array([end[0] + 1.6 * head, end[1], 0]), trunk, head * 0.35, curl, 2)
        parts += m.limb(np.array([-long * 0.48, high * 0.3, 0.0]), tail, stout, [-droop, 0.3, 0.3], 3)
        return parts

    return pose


def figure(random: np.random.Generator) -> Callable[[float], list[Part]]:
    """Somebody who walks and carries a thing or two."""
    m, u = Maker(random), random.uniform
    wide, deep, tall = u(0.16, 0.3), u(0.1, 0.2), u(0.3, 0.45)
    leg, arm, swing = u(0.6, 0.85), u(0.5, 0.65), u(0.1, 0.8)
    skirt, stick, shield = random.random() < 0.5, random.random() < 0.6, random.random() < 0.4
    reach = u(0.6, 1.8)

    def pose(phase: float) -> list[Part]:
        angle = swing * math.sin(2 * math.pi * phase)
        parts = [m.part((0, 0, 0), (deep, tall, wide), 0), m.part((0, tall + 0.2, 0), (0.12, 0.15, 0.11), 1)]
        parts.append(m.part((-0.02, tall + 0.26, 0), (0.13, 0.13, 0.12), 3))
        for side in (1, -1):
            hip, shoulder = (
                np.array([0, -tall * 0.8, side * wide * 0.5]),
                np.array([0, tall * 0.8, side * wide]),
            )
            parts += m.limb(hip, leg, 0.09, [side * angle, -abs(angle) * 0.5], 2)
            hand = m.limb(shoulder, arm, 0.06, [-side * angle + 0.1, 0.5], 1)
            parts += hand
            x, y, z = hand[-1].centre
            if stick and side == 1:
                parts.append(m.part((x, y, z + 0.05), (0.02, reach, 0.02), 3, (0, 0, angle * 0.3)))
            if shield and side == -1:
                parts.append(m.part((x + 0.08, y, z - 0.05), (0.03, 0.3, 0.25), 2))
        if skirt:
            parts.append(m.part((0, -tall, 0), (deep * 1.3, tall * 0.8, wide * 1.15), 0))
        return parts

    return pose


def bird(random: np.random.Generator) -> Callable[[float], list[Part]]:
    """Two wings that beat or lie, a fan of a tail, two legs."""
    m, u = Maker(random), random.uniform
    span, chord, long, round_ = u(0.3, 1.8), u(0.15, 0.35), u(0.25, 0.5), u(0.08, 0.28)
    beat, rest, neck, leg = u(0.1, 0.9), u(-0.6, 1.2), u(0.1, 0.4), u(0.05, 0.5)

    def pose(phase: float) -> list[Part]:
        parts = [m.part((0, 0, 0), (long, round_, round_ * 0.9), 0, (0, 0, 0.3))]
        parts.append(m.part((long * 0.8, neck, 0), (0.1, neck * 0.8, 0.09), 0))
        parts.append(m.part((long * 0.9, 2 * neck, 0), (0.13, 0.1, 0.09), 2))
        parts.append(m.part((-long * 1.2, 0.05, 0), (0.3, 0.02, 0.14), 1, (0, 0, -0.4)))
        angle = rest + beat * math.sin(2 * math.pi * phase)
        for side in (1, -1):
            y, z = math.sin(angle) * span / 2, math.cos(angle) * span / 2
            flat = (chord, 0.025, span / 2)
            parts.append(
                m.part((0, y + round_ * 0.5, side * (z + round_ * 0.5)), flat, 1, (-side * angle, 0, 0))
            )
            parts += m.limb(np.array([0, -round_ * 0.7, side * 0.08]), leg, 0.03, [0.1, -0.2], 3)
        return parts

    return pose


def vehicle(random: np.random.Generator) -> Callable[[float], list[Part]]:
    """A box on wheels with a cabin or a load."""
    m, u = Maker(random), random.uniform
    long, high, wide, wheel = u(0.5, 1.1), u(0.1, 0.3), u(0.25, 0.45), u(0.12, 0.3)
    axles, cabin, back = int(random.integers(1, 4)), u(0.1, 0.4), u(-0.5, 0.3)

    def pose(phase: float) -> list[Part]:
        bounce = 0.02 * math.sin(2 * math.pi * phase)
        parts = [m.part((0, bounce, 0), (long, high, wide), 0, box=True)]
        size = (long * 0.4, cabin, wide * 0.85)
        parts.append(m.part((back * long, high + cabin * 0.9 + bounce, 0), size, 2, box=True))
        for x in np.linspace(-0.7, 0.7, axles) if axles > 1 else (0.0,):
            for side in (1, -1):
                parts.append(m.part((x * long, -high, side * wide * 1.05), (wheel, wheel, 0.05), 1))
        return parts

    return pose


def plant(random: np.random.Generator) -> Callable[[float], list[Part]]:
    """A stem, leaves or a crown, sometimes a pot."""
    m, u = Maker(random), random.uniform
    tall, leaves = u(0.5, 1.2), int(random.integers(5, 22))
    places = np.stack([u(0.3, 1, leaves) * tall, u(0, 2 * math.pi, leaves), u(0.15, 0.5, leaves)], 1)
    fat, droop = u(0.02, 0.2), u(-0.8, 0.8)

    def pose(phase: float) -> list[Part]:
        sway = 0.06 * math.sin(2 * math.pi * phase)
        parts = [m.part((0, tall / 2, 0), (0.05, tall / 2, 0.05), 0)]
        parts.append(m.part((0, -0.05, 0), (0.22, 0.16, 0.22), 2))
        for y, around, reach in places:
            x, z = reach / 2 * math.cos(around), reach / 2 * math.sin(around)
            turn = (0, -around, droop + sway)
            parts.append(m.part((x + sway * y, y, z), (reach / 2, fat, 0.12), 1, turn))
        return parts

    return pose


def lathe(random: np.random.Generator) -> Callable[[float], list[Part]]:
    """A vessel or a tool: discs on one axis, with a handle."""
    m, u = Maker(random), random.uniform
    count = int(random.integers(3, 9))
    radii, tilt = u(0.08, 0.5, count), u(-1.0, 1.0)
    step, handle = u(0.1, 0.25), u(0.0, 0.4)

    def pose(phase: float) -> list[Part]:
        turn = tilt + 0.1 * math.sin(2 * math.pi * phase)
        spin = rotation(0, 0, turn)
        parts = [m.part((0, k * step, 0), (r, step * 0.8, r), k % 2) for k, r in enumerate(radii)]
        if handle > 0.15:
            parts.append(m.part((radii.max(), count * step / 2, 0), (handle, 0.05, 0.05), 3))
        return [replace(p, centre=spin @ p.centre, rotation=spin @ p.rotation) for p in parts]

    return pose


KINDS = {
    "creature": creature,
    "figure": figure,
    "bird": bird,
    "vehicle": vehicle,
    "plant": plant,
    "lathe": lathe,
}
SYMMETRIC = ("creature", "figure", "bird", "vehicle", "lathe")
"""Kinds whose left and right are alike, left being +z."""
