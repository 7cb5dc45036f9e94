"""Heads of four-legged animals, at the origin and looking along x."""

from __future__ import annotations

import math

import numpy as np

from train.data.procedural.anatomy import Body, curve, frame, mirrored
from train.data.procedural.fauna.breeds import Build
from train.data.procedural.parts import Part, Vector, moved

HORNS = 4  # links


def head_of(a: Body, b: Build) -> list[Part]:
    """A head with ears, horns and tusks, but without a trunk."""
    r = b.head_radius
    out, drop = r * (0.7 + b.snout_length), r * (0.2 + 0.3 * b.brow_height)
    m = r * b.muzzle_thickness
    parts = [
        a.blob((0, 0, 0), (1.1 * r, 0.95 * r, 0.85 * r), "head"),
        a.blob((0.45 * out, -0.55 * drop, 0), (0.6 * out, 0.5 * (r + m), 0.45 * (r + m)), "head", None, r),
        a.blob((0.78 * out, -drop, 0), (0.5 * r * b.snout_length + 0.4 * m, m, m), "face", None, 2 * r),
        a.blob(
            (0.7 * out, -drop - 0.5 * m, 0), (0.5 * r * b.snout_length + 0.3 * m, 0.6 * m, 0.8 * m), "face"
        ),
        a.blob((out + 0.25 * m, -drop + 0.45 * m, 0), (0.3 * m, 0.3 * m, 0.4 * m), "eye"),
    ]
    eye, ear, spread = r * a.u(0.12, 0.24), r * b.ear_length, b.ear_spread
    aside = 1 - 0.7 * b.ear_flap  # less spread for ears that lie along the head
    antlered, lean = b.horns > 1.0, a.u(0.0, 0.9)
    horned = b.horns > 0.45
    start = np.array([a.u(-0.2, 0.2), 0.75, a.u(0.3, 0.6)]) * r
    wide, tilt, size = a.u(0.15, 1.4), a.u(-0.6, 0.3), r * b.horn_length * (1.4 if antlered else 1.0)
    tusks = b.tusks > 0.5
    for side in (1, -1):
        parts.append(a.blob((0.5 * r, 0.35 * r, side * 0.66 * r), (eye, eye, 0.8 * eye), "eye"))
        if ear > 0.02:
            way = mirrored(np.array([-lean - b.ear_flap, math.cos(spread), aside * math.sin(spread)]), side)
            way /= np.linalg.norm(way)
            up = np.array([1 - b.ear_flap, 0, side * b.ear_flap])
            root = np.array([-0.25 * r, 0.6 * r * math.cos(0.7 * spread), side * 0.75 * r])
            size_ = (0.55 * ear, 0.1 * r, b.ear_width * ear)
            parts.append(a.blob(root + 0.42 * ear * way, size_, "ears", frame(way, up)))
        if horned:
            parts += _horn(a, mirrored(start, side), side, size, (wide, tilt, b.horn_curl), antlered)
        if tusks:
            root, way = np.array([0.7 * out, -drop - 0.4 * m, side * m]), np.array([0.8, -0.5, 0.15 * side])
            ends = [root, root + 0.9 * r * way, root + 0.9 * r * (way + np.array([0.95, 0.1, 0.05 * side]))]
            parts += a.limb(ends, [0.14 * r, 0.1 * r], ["horn", "horn"])
    if b.nose_horn > 0.35:
        for x, tall in ((0.95 * out, 1.0), (0.62 * out, 0.55)):
            root = np.array([x, -drop + 0.8 * m, 0])
            tip = root + r * b.nose_horn * tall * np.array([0.3, 1.6, 0])
            parts.append(a.link(root, tip, 0.22 * r, "horn"))
    return parts


def _horn(
    a: Body, start: Vector, side: int, size: float, shape: tuple[float, float, float], antlered: bool
) -> list[Part]:
    """A horn that bends in a slanted plane, or an antler with tines."""
    wide, tilt, curled = shape
    angles = [math.pi / 2 - tilt + curled * k / (HORNS - 1) for k in range(HORNS)]
    points = curve(np.zeros(3), size * (1 + 0.15 * abs(curled)), angles)
    slant = np.array([[1, 0, 0], [0, math.cos(wide), 0], [0, side * math.sin(wide), 1]])
    points = start + points @ slant.T
    thick = 0.09 * size if antlered else 0.16 * size**0.5 * 0.35
    radii = [thick * (1 - 0.18 * k) for k in range(HORNS)]
    parts = a.limb(list(points), radii, ["horn"] * HORNS)
    if antlered:
        for k in (1, 2, 3):
            tip = points[k] + size * np.array([0.35, 0.25, 0.1 * side * (k - 2)])
            parts.append(a.link(points[k], tip, 0.7 * thick, "horn"))
    return parts


def trunk_of(a: Body, b: Build, bends: list[float]) -> list[Part]:
    """A trunk that hangs from the head; each link is bent by an angle relative to the one before."""
    r = b.head_radius
    angles = np.cumsum([-1.1, *bends])
    points = curve(np.array([0.75 * r, -0.3 * r, 0]), b.trunk_length, [float(x) for x in angles])
    radii = np.linspace(0.42, 0.15, len(points)) * r
    return a.chain(points, radii, radii, "face")


def placed(parts: list[Part], place: Vector, way: Vector) -> list[Part]:
    """A head's parts at a place, looking in the direction `way`."""
    return moved(parts, frame(way), place)
