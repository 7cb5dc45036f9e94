"""Clothes of people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.data.procedural.anatomy import UP, Body
from train.data.procedural.parts import Part, Vector
from train.data.procedural.people.build import Build, Frame

PADDING = 1.15
"""Thickness of a clothed limb in thicknesses of a bare one."""
FOLDS = 4
"""Ellipsoids of a skirt or a cloak."""


@dataclass(frozen=True)
class Clothes:
    """Regions of coats for the parts of the body, and measures of hanging clothes in leg lengths."""

    torso: tuple[str, str]  # above and below the waist
    arms: tuple[str, str]  # above and below the elbow
    legs: tuple[str, str]
    feet: str
    skirt: float
    flare: float
    cloak: float
    drift: float  # of the cloak, backwards
    belt: bool
    pads: bool

    @staticmethod
    def random(a: Body) -> Clothes:
        """Random clothes."""
        bare, armoured, trousers = a.chance(0.1), a.chance(0.3), a.chance(0.5)
        upper = "skin" if bare else ("armour" if armoured else "shirt")
        sleeves = 0 if bare else int(a.random.integers(3))
        greaves, short = armoured and a.chance(0.4), a.chance(0.65)
        return Clothes(
            torso=(upper, "trousers" if trousers else "skirt"),
            arms=("shirt" if sleeves else "skin", "shirt" if sleeves == 2 else "skin"),
            legs=(
                "trousers" if trousers else "skin",
                "armour" if greaves else ("trousers" if trousers and a.chance(0.8) else "skin"),
            ),
            feet="shoes" if a.chance(0.8) else "skin",
            skirt=0.0 if trousers and a.chance(0.6) else (a.u(0.25, 0.6) if short else a.u(0.7, 1.0)),
            flare=a.u(0.0, 0.7),
            cloak=a.u(0.3, 0.95) if a.chance(0.3) else 0.0,
            drift=a.u(0.0, 0.5),
            belt=a.chance(0.5),
            pads=armoured and a.chance(0.6),
        )


def on_limb(a: Body, regions: tuple[str, str], joints: Sequence[Vector], thick: float) -> list[Part]:
    """The upper and lower link of an arm or a leg, in the two regions' clothes."""
    radii = [
        thick * shrink * (1.0 if region == "skin" else PADDING)
        for region, shrink in zip(regions, (1.0, 0.8), strict=True)
    ]
    return a.limb(joints, radii, regions)


def hanging(
    a: Body, clothes: Clothes, where: Frame, b: Build, knees: Sequence[Vector], phase: float
) -> list[Part]:
    """Belt, skirt, cloak and shoulder pads."""
    parts: list[Part] = []
    up, forward = where.low[:, 0], where.high[:, 1]
    waist = where.hip + 0.22 * b.torso * up
    if clothes.belt:
        size = (0.06 * b.torso, 1.05 * b.deep, 0.95 * (b.hip + b.shoulder) / 2)
        parts.append(a.blob(waist, size, "leather", where.low))
    if clothes.skirt:
        knee = sum(knees) / 2
        astride = float(np.linalg.norm(knees[0][:1] - knees[1][:1])) / 2
        way = (knee - where.hip) * 2 * clothes.skirt
        step = float(np.linalg.norm(way)) / (FOLDS - 1)
        for k, share in enumerate(np.linspace(0, 1, FOLDS)):
            wide = 1.1 + clothes.flare * share
            size = (0.85 * step, wide * b.deep + 0.7 * astride * share * clothes.skirt, wide * b.hip)
            parts.append(a.blob(where.hip + share * way, size, "skirt", where.low, 0.3 * k))
    if clothes.cloak:
        length = clothes.cloak * (b.leg + 0.8 * b.torso)
        shares = np.linspace(0, 1, FOLDS)[:, None]
        flutter = clothes.drift * length * (1 + 0.3 * math.sin(2 * math.pi * phase))
        points = where.neck - 1.25 * b.deep * forward - shares * length * UP - shares**1.5 * flutter * forward
        parts += a.chain(points, 0.18 * b.deep, b.shoulder * np.linspace(0.95, 1.3, FOLDS), "cloak")
    if clothes.pads:
        for side in (1, -1):
            place = where.neck - where.high @ np.array([0.1 * b.torso, 0.0, side * 1.05 * b.shoulder])
            parts.append(a.blob(place, (0.09 * b.torso, b.deep, 0.5 * b.shoulder), "armour", where.high))
    return parts
