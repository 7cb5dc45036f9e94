"""All kinds of procedural objects; animals and people are in folders of their own.

Each maker returns a function from the phase of a movement, in [0, 1), to the parts. The y axis is up, and the
object looks along +x. Lengths are in arbitrary units; the renderer frames the object.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from train.data.procedural.fauna import FAUNA
from train.data.procedural.parts import Maker, Making, Part, Pose, rotation
from train.data.procedural.people import PEOPLE


def vehicle(random: np.random.Generator) -> Pose:
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


def plant(random: np.random.Generator) -> Pose:
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


def lathe(random: np.random.Generator) -> Pose:
    """A vessel or a tool: discs on one axis, and sometimes a handle."""
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


OTHERS: dict[str, Making] = {"vehicle": vehicle, "lathe": lathe, "plant": plant}
KINDS: dict[str, Making] = {**OTHERS, **FAUNA, **PEOPLE}
SYMMETRIC = (*FAUNA, *PEOPLE, "vehicle", "lathe")
"""Kinds that are symmetric about z = 0."""
