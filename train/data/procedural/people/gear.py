"""Weapons, tools and bags that people carry."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from train.data.procedural.anatomy import UP, Body, frame, heading
from train.data.procedural.parts import Part, Vector

Held = Callable[[Vector, Vector], list[Part]]
"""Gives the parts of a thing in a hand at a place [3], whose arm reaches in a direction [3]."""


@dataclass(frozen=True)
class Gear:
    """What a person holds in each hand and carries on the back."""

    hands: dict[int, Held]  # left (1) and right (-1)
    back: list[Part]  # relative to the neck, looking along x

    @staticmethod
    def random(a: Body, strong: int, size: float) -> Gear:
        """Random gear for a person with arms of length `size`; `strong` is the side of the stronger hand."""
        things = (nothing, nothing, pole, pole, blade, blade, axe, bow, sack)
        mine = things[a.random.integers(len(things))](a, strong, size)
        others = (nothing, nothing, nothing, shield, shield, blade, sack)
        other = others[a.random.integers(len(others))](a, -strong, size)
        return Gear({strong: mine, -strong: other}, _back(a, size))


def nothing(a: Body, side: int, size: float) -> Held:
    """An empty hand."""
    return lambda hand, reach: []


def pole(a: Body, side: int, size: float) -> Held:
    """A spear, a staff or a banner's pole."""
    fore, aft, thick = a.u(0.5, 2.2) * size, a.u(0.3, 1.6) * size, a.u(0.012, 0.04) * size
    way, tip, steady = _way(a), a.u(0.1, 0.3) * size, a.chance(0.5)

    def held(hand: Vector, reach: Vector) -> list[Part]:
        along = way if steady else frame(reach) @ way
        end = hand + fore * along
        head = a.link(end - 0.3 * tip * along, end + tip * along, (0.02 * size, 0.06 * size), "metal")
        return [a.link(hand - aft * along, end, thick, "wood"), head]

    return held


def blade(a: Body, side: int, size: float) -> Held:
    """A sword, a knife or a club."""
    long, wide, thin = a.u(0.4, 1.3) * size, a.u(0.03, 0.1) * size, a.u(0.2, 1.0)
    way, region = _way(a), "metal" if a.chance(0.75) else "wood"

    def held(hand: Vector, reach: Vector) -> list[Part]:
        along = frame(reach) @ way
        guard = a.blob(
            hand + 0.1 * size * along, (0.02 * size, 0.12 * size, 0.04 * size), "leather", frame(along)
        )
        return [a.link(hand, hand + long * along, (wide, thin * wide), region, UP), guard]

    return held


def axe(a: Body, side: int, size: float) -> Held:
    """An axe, a hammer, a hoe or a torch."""
    long, head, region = a.u(0.5, 1.4) * size, a.u(0.08, 0.22) * size, "metal" if a.chance(0.7) else "plume"
    way = _way(a)

    def held(hand: Vector, reach: Vector) -> list[Part]:
        along = frame(reach) @ way
        end = hand + long * along
        turn = frame(along)
        piece = a.blob(end + 0.5 * head * turn[:, 1], (0.7 * head, head, 0.3 * head), region, turn)
        return [a.link(hand - 0.15 * long * along, end, 0.025 * size, "wood"), piece]

    return held


def bow(a: Body, side: int, size: float) -> Held:
    """A bow, held upright and bent towards the archer."""
    tall, bent, tilt = a.u(0.6, 1.2) * size, a.u(0.15, 0.4), a.askew(0.4)
    shares = np.linspace(-1, 1, 7)

    def held(hand: Vector, reach: Vector) -> list[Part]:
        forward = np.array([reach[0], 0, reach[2]]) + 1e-3
        forward /= np.linalg.norm(forward)
        along = math.cos(tilt) * UP + math.sin(tilt) * np.cross(forward, UP)
        points = hand + tall * (shares[:, None] * along - bent * (shares**2)[:, None] * forward)
        return a.limb(list(points), [0.03 * size] * 6, ["wood"] * 6)

    return held


def shield(a: Body, side: int, size: float) -> Held:
    """A round, long or square shield before the hand or beside the arm."""
    wide, tall, beside, boxed = a.u(0.25, 0.6) * size, a.u(0.8, 1.8), a.u(0, 1), a.chance(0.3)

    def held(hand: Vector, reach: Vector) -> list[Part]:
        ahead = np.array([reach[0], 0, reach[2]]) + np.array([1e-3, 0, 0])
        away = (1 - beside) * ahead + beside * np.array([0.2, 0, side])
        turn = frame(away / np.linalg.norm(away))
        place = hand + 0.1 * size * turn[:, 0]
        face = a.blob(place, (0.1 * wide, tall * wide, wide), "shield", turn, box=boxed)
        return [face, a.blob(place + 0.1 * wide * turn[:, 0], (0.15 * wide,) * 3, "metal", turn)]

    return held


def sack(a: Body, side: int, size: float) -> Held:
    """A bag, a jug, a basket, a ball or a box."""
    half, region, boxed = (
        size * a.u(0.12, 0.4, 3),
        ("leather", "hat", "wood")[a.random.integers(3)],
        a.chance(0.3),
    )
    return lambda hand, reach: [a.blob(hand - 0.8 * half[1] * UP, half, region, box=boxed)]


def _way(a: Body) -> Vector:
    """A random direction, mostly upwards from the hand, where x is along the arm."""
    return heading(a.u(0.2, 2.6), a.askew(0.4))


def _back(a: Body, size: float) -> list[Part]:
    """A quiver, a pack or, mostly, nothing on the back."""
    kind, lean = a.random.integers(6), a.askew(0.7)
    if kind == 0:
        way = np.array([-0.15, math.cos(lean), math.sin(lean)])
        middle = np.array([-0.35, -0.35, 0]) * size
        return [
            a.link(middle - 0.35 * size * way, middle + 0.4 * size * way, 0.1 * size, "leather"),
            a.link(middle + 0.2 * size * way, middle + 0.65 * size * way, 0.06 * size, "plume"),
        ]
    if kind == 1:
        half = size * np.array([a.u(0.15, 0.3), a.u(0.25, 0.45), a.u(0.2, 0.4)])
        return [
            a.blob(np.array([-0.25 * size - half[0], -0.4 * size, 0]), half, "leather", box=a.chance(0.4))
        ]
    return []
