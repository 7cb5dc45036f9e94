"""Heads of people, at the origin and looking along x, with hair and hats."""

from __future__ import annotations

from train.data.procedural.anatomy import Body
from train.data.procedural.parts import Part


def head_of(a: Body, r: float) -> list[Part]:
    """A face, hair and a hat for a skull of radius `r`."""
    return _face(a, r) + _hair(a, r) + _hat(a, r)


def _face(a: Body, r: float) -> list[Part]:
    parts = [
        a.blob((0, 0, 0), (r, 1.15 * r, 0.85 * r), "skin"),
        a.blob((0.25 * r, -0.6 * r, 0), (0.65 * r, 0.55 * r, 0.6 * r), "skin"),
        a.blob((r, -0.15 * r, 0), (0.22 * r, 0.25 * r, 0.15 * r), "skin"),
        a.blob((0.86 * r, -0.62 * r, 0), (0.08 * r, 0.07 * r, 0.3 * r), "mouth"),
    ]
    eye = r * a.u(0.1, 0.2)
    for side in (1, -1):
        parts.append(a.blob((0.85 * r, 0.1 * r, side * 0.36 * r), (0.8 * eye, eye, eye), "eye"))
        parts.append(a.blob((0, -0.05 * r, side * 0.88 * r), (0.18 * r, 0.25 * r, 0.1 * r), "skin"))
    return parts


def _hair(a: Body, r: float) -> list[Part]:
    """Hair that leaves the face free, and beards."""
    parts = []
    if a.chance(0.85):
        full, length = a.u(0.98, 1.25), 2.2 * a.u(0, 1) ** 2
        parts.append(a.blob(((0.76 - full) * r, 0.28 * r, 0), (full * r, full * r, 0.92 * full * r), "hair"))
        if length > 0.4:
            size = (0.4 * r, (0.5 + 0.6 * length) * r, a.u(0.4, 0.95) * r)
            parts.append(a.blob((-0.65 * r, -0.5 * length * r, 0), size, "hair"))
        if a.chance(0.15):  # a bun
            parts.append(a.blob((-1.1 * r, a.u(0, 1) * r, 0), (0.4 * r, 0.4 * r, 0.4 * r), "hair"))
    if a.chance(0.35):
        long = a.u(0.2, 1.0)
        size = (0.4 * r, (0.3 + 0.5 * long) * r, 0.55 * r)
        parts.append(a.blob((0.6 * r, -(0.8 + 0.4 * long) * r, 0), size, "hair"))
    return parts


def _hat(a: Body, r: float) -> list[Part]:
    """A cap, a hat with a brim or a point, a hood, a helmet, or nothing."""
    cap = a.blob((-0.15 * r, 0.62 * r, 0), (1.1 * r, a.u(0.7, 0.95) * r, 1.06 * r), "hat")
    kind = a.random.integers(9)
    if kind < 3:
        return []
    if kind == 3:
        return [cap]
    if kind == 4:
        brim = a.u(1.5, 2.4) * r
        return [cap, a.blob((0, 0.5 * r, 0), (brim, 0.14 * r, 0.9 * brim), "hat")]
    if kind == 5:
        tall = a.u(0.6, 1.8)
        return [cap, a.blob((-0.1 * r, (0.6 + 0.7 * tall) * r, 0), (0.6 * r, tall * r, 0.6 * r), "hat")]
    if kind == 6:  # a hood
        behind = a.blob((-0.35 * r, -0.3 * r, 0), (1.0 * r, 1.4 * r, 1.15 * r), "cloak")
        return [behind, a.blob((-0.38 * r, 0.35 * r, 0), (1.2 * r, 1.1 * r, 1.12 * r), "cloak")]
    parts = [a.blob((-0.15 * r, 0.56 * r, 0), (1.13 * r, 0.93 * r, 1.1 * r), "metal")]
    if a.chance(0.5):  # cheek pieces and a neck guard
        for side in (1, -1):
            parts.append(a.blob((0.35 * r, -0.5 * r, side * 0.8 * r), (0.4 * r, 0.6 * r, 0.12 * r), "metal"))
        parts.append(a.blob((-0.9 * r, -0.4 * r, 0), (0.25 * r, 0.5 * r, 0.7 * r), "metal"))
    if a.chance(0.55):
        high, long = a.u(0.3, 0.9) * r, a.u(0.5, 1.5) * r
        parts.append(a.blob((-0.2 * r, 1.4 * r, 0), (long, high, 0.15 * r), "plume"))
    return parts
