"""Procedural objects of the benchmark, which need no download: {name: maker of a clip of F frames}.

Each moves through one cycle, looks towards +z, and has y upwards. None is among the objects that the
project's networks are trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ar4d.scenes.mesh import Clip
from ar4d.scenes.solids import Assembly, Colour, Numbers, box, ellipsoid, patches, ring, stripes, tube

DARK, STEEL, WOOD = (0.16, 0.16, 0.18), (0.62, 0.66, 0.7), (0.55, 0.38, 0.22)


def car(frames: int) -> Clip:
    """A car whose wheels turn a quarter per cycle, the angle between their spokes."""
    a = Assembly(frames)
    body = a.joint(a.still(0, 0.33, 0), (0, 0, 0), "x", 0.025 * np.sin(2 * a.phases))
    red = patches((0.75, 0.13, 0.1), (0.82, 0.2, 0.14), 3, 3)
    a.add(box((0.42, 0.16, 1.0)), body, red)
    a.add(box((0.36, 0.15, 0.48)), body, (0.35, 0.5, 0.62), (0, 0.3, -0.12))
    a.add(box((0.37, 0.03, 0.5)), body, red, (0, 0.46, -0.12))
    a.add(box((0.43, 0.05, 0.04)), body, STEEL, (0, -0.1, 1.0))
    for x in (-0.28, 0.28):
        a.add(ellipsoid((0.07, 0.07, 0.04)), body, (1.0, 0.95, 0.7), (x, 0.02, 1.0))
        a.add(box((0.08, 0.04, 0.02)), body, (0.6, 0.02, 0.05), (x, 0.04, -1.0))
    for x in (-0.42, 0.42):
        for z in (-0.6, 0.62):
            wheel = a.joint(a.still(x, 0.2, z), (0, 0, 0), "x", a.phases / 4)
            a.add(ring(0.15, 0.06), wheel, DARK)
            for k in range(4):
                spoke = a.joint(wheel, (0, 0, 0), "x", k * math.pi / 2)
                a.between(spoke, (0, 0, 0), (0, 0.13, 0), 0.02, STEEL)
    return a.clip()


def windmill(frames: int) -> Clip:
    """A tower whose four sails turn a quarter."""
    a = Assembly(frames)
    a.add(tube(1.3, 0.42, 0.26), a.still(), stripes((0.85, 0.8, 0.7), (0.75, 0.68, 0.58), 16, 12, 5))
    a.add(tube(0.3, 0.32, 0.02), a.still(0, 1.3, 0), (0.45, 0.2, 0.16))
    a.add(box((0.1, 0.18, 0.04)), a.still(0, 0.16, 0.4), WOOD)
    hub = a.joint(a.still(0, 1.32, 0.36), (0, 0, 0), "z", a.phases / 4)
    a.add(ellipsoid((0.07, 0.07, 0.14)), hub, DARK)
    for k in range(4):
        sail = a.joint(hub, (0, 0, 0), "z", k * math.pi / 2 + 0.3)
        a.between(sail, (0, 0, 0), (0, 0.95, 0), 0.022, WOOD)
        twisted = a.joint(sail, (0.11, 0.57, 0), "y", 0.25)
        a.add(box((0.11, 0.36, 0.008)), twisted, stripes((0.93, 0.9, 0.8), (0.6, 0.45, 0.3), 3, 7, 6))
    return a.clip()


def plant(frames: int) -> Clip:
    """A plant in a pot, which sways."""
    a = Assembly(frames)
    a.add(tube(0.4, 0.2, 0.28), a.still(), stripes((0.72, 0.36, 0.22), (0.8, 0.5, 0.3), 1, 4, 7))
    a.add(tube(0.02, 0.25, 0.25), a.still(0, 0.39, 0), (0.2, 0.13, 0.08))
    leaf = patches((0.16, 0.42, 0.14), (0.35, 0.6, 0.2), 11, 5)
    for k in range(9):
        stem = a.joint(a.still(0, 0.4, 0), (0, 0, 0), "y", 2.4 * k)
        lean = 0.16 + 0.05 * (k % 4)
        for link in range(3):
            angle = lean * (1 + 0.5 * link) + 0.05 * np.sin(a.phases + 0.7 * k + 0.5 * link)
            stem = a.joint(stem, (0, 0.24 * (link > 0), 0), "x", angle)
            a.between(stem, (0, 0, 0), (0, 0.24, 0), 0.014, (0.25, 0.4, 0.15))
        blade = a.joint(stem, (0, 0.24, 0), "x", 0.5 + 0.08 * np.sin(a.phases + k))
        a.add(ellipsoid((0.11, 0.24, 0.014)), blade, leaf, (0, 0.2, 0))
    return a.clip()


def walker(frames: int) -> Clip:
    """A spotted four-legged animal, walking."""
    a = Assembly(frames)
    hide = patches((0.92, 0.9, 0.86), (0.25, 0.15, 0.1), 21, 6)
    body = a.joint(a.still(0, 0.95, 0), (0, 0, 0), "x", 0.03 * np.sin(2 * a.phases))
    a.add(ellipsoid((0.3, 0.32, 0.7)), body, hide)
    neck = a.joint(body, (0, 0.18, 0.55), "x", 0.7 + 0.06 * np.sin(2 * a.phases + 1))
    a.add(ellipsoid((0.14, 0.34, 0.17)), neck, hide, (0, 0.22, 0))
    head = a.joint(neck, (0, 0.45, 0.02), "x", 0.35)
    a.add(ellipsoid((0.13, 0.15, 0.26)), head, hide, (0, 0.02, 0.14))
    a.add(ellipsoid((0.09, 0.08, 0.08)), head, (0.8, 0.6, 0.55), (0, -0.04, 0.36))
    for x in (-1, 1):
        a.add(ellipsoid((0.1, 0.05, 0.03)), head, (0.5, 0.35, 0.3), (0.18 * x, 0.12, 0))
        a.add(tube(0.16, 0.03, 0.005), head, (0.85, 0.8, 0.65), (0.09 * x, 0.14, 0.02))
        a.add(ellipsoid((0.025, 0.03, 0.03)), head, DARK, (0.11 * x, 0.08, 0.2))
        for z in (-0.48, 0.46):
            beat = a.phases + (math.pi if (x > 0) == (z > 0) else 0)
            upper = a.joint(body, (0.17 * x, -0.1, z), "x", 0.38 * np.sin(beat))
            a.add(ellipsoid((0.11, 0.28, 0.13)), upper, hide, (0, -0.2, 0))
            bend = 0.3 + 0.3 * np.sin(beat + math.pi / 2)
            lower = a.joint(upper, (0, -0.42, 0), "x", bend)
            a.add(tube(0.42, 0.05, 0.07), lower, hide, (0, -0.42, 0))
            a.add(ellipsoid((0.08, 0.05, 0.1)), lower, DARK, (0, -0.42, 0.02))
    tail = a.joint(body, (0, 0.12, -0.66), "z", 0.25 * np.sin(a.phases))
    a.between(tail, (0, 0, 0), (0, -0.5, -0.14), 0.025, (0.85, 0.8, 0.75))
    a.add(ellipsoid((0.05, 0.1, 0.05)), tail, DARK, (0, -0.52, -0.15))
    return a.clip()


def person(frames: int) -> Clip:
    """Someone in a striped pullover, walking."""
    a = Assembly(frames)
    skin, jeans = (0.78, 0.57, 0.45), patches((0.18, 0.25, 0.42), (0.22, 0.3, 0.5), 31, 4)
    wool = stripes((0.85, 0.25, 0.2), (0.95, 0.9, 0.8), 1, 10, 8)
    hips = a.still(0, 0.92, 0)
    hips[:, 1, 3] += 0.02 * np.cos(2 * a.phases)
    chest = a.joint(hips, (0, 0.05, 0), "y", 0.14 * np.sin(a.phases))
    a.add(ellipsoid((0.19, 0.14, 0.13)), hips, jeans)
    a.add(ellipsoid((0.22, 0.36, 0.14)), chest, wool, (0, 0.26, 0))
    a.add(tube(0.14, 0.06, 0.06), chest, skin, (0, 0.55, 0))
    a.add(ellipsoid((0.11, 0.14, 0.125)), chest, skin, (0, 0.76, 0.01))
    a.add(ellipsoid((0.118, 0.1, 0.125)), chest, (0.2, 0.12, 0.07), (0, 0.83, -0.025))
    a.add(ellipsoid((0.018, 0.03, 0.03)), chest, skin, (0, 0.74, 0.13))
    a.add(box((0.13, 0.17, 0.07)), chest, (0.2, 0.4, 0.3), (0, 0.34, -0.18))
    for x in (-1, 1):
        a.add(ellipsoid((0.016, 0.016, 0.01)), chest, DARK, (0.042 * x, 0.78, 0.128))
        swing = x * np.sin(a.phases)
        leg = a.joint(hips, (0.1 * x, -0.04, 0), "x", 0.5 * swing)
        a.add(tube(0.46, 0.075, 0.1), leg, jeans, (0, -0.44, 0))
        shin = a.joint(leg, (0, -0.43, 0), "x", 0.4 + 0.38 * x * np.cos(a.phases))
        a.add(tube(0.42, 0.055, 0.075), shin, jeans, (0, -0.42, 0))
        a.add(ellipsoid((0.06, 0.05, 0.13)), shin, (0.35, 0.2, 0.12), (0, -0.43, 0.06))
        arm = a.joint(chest, (0.23 * x, 0.48, 0), "x", -0.45 * swing)
        a.add(tube(0.32, 0.05, 0.07), arm, wool, (0, -0.3, 0))
        hand = a.joint(arm, (0, -0.3, 0), "x", -0.35 - 0.2 * swing)
        a.add(tube(0.28, 0.04, 0.05), hand, wool, (0, -0.27, 0))
        a.add(ellipsoid((0.045, 0.07, 0.045)), hand, skin, (0, -0.3, 0))
    return a.clip()


def bird(frames: int) -> Clip:
    """A bird that beats its wings."""
    a = Assembly(frames)
    plumage, belly = patches((0.2, 0.32, 0.6), (0.3, 0.5, 0.8), 41, 8), (0.9, 0.72, 0.5)
    body = a.still()
    body[:, 1, 3] = -0.06 * np.sin(a.phases)
    body = a.joint(body, (0, 0, 0), "x", -0.12)
    a.add(ellipsoid((0.15, 0.15, 0.38)), body, plumage)
    a.add(ellipsoid((0.12, 0.12, 0.3)), body, belly, (0, -0.05, 0.03))
    a.add(ellipsoid((0.11, 0.11, 0.13)), body, plumage, (0, 0.1, 0.4))
    beak = a.joint(body, (0, 0.09, 0.5), "x", math.pi / 2)
    a.add(tube(0.13, 0.035, 0.004, 8), beak, (0.95, 0.65, 0.15))
    tail = a.joint(body, (0, 0.03, -0.3), "x", 0.1 * np.sin(a.phases + 1))
    a.add(box((0.12, 0.012, 0.2)), tail, plumage, (0, 0, -0.18))
    for x in (-1, 1):
        a.add(ellipsoid((0.02, 0.02, 0.02)), body, DARK, (0.095 * x, 0.13, 0.45))
        inner = a.joint(body, (0.1 * x, 0.08, 0.08), "z", x * (0.1 + 0.6 * np.sin(a.phases)))
        a.add(ellipsoid((0.24, 0.02, 0.18)), inner, plumage, (0.2 * x, 0, 0))
        outer = a.joint(inner, (0.38 * x, 0, 0), "z", x * 0.45 * np.sin(a.phases - 1))
        a.add(ellipsoid((0.3, 0.014, 0.13)), outer, plumage, (0.24 * x, 0, -0.03))
    return a.clip()


def fish(frames: int) -> Clip:
    """A fish whose body swings from side to side."""
    a = Assembly(frames)
    scales, fin = stripes((0.95, 0.55, 0.15), (0.98, 0.95, 0.9), 6, 1, 9), (0.9, 0.4, 0.1)
    link = a.still()
    sizes = (0.17, 0.25, 0.28, 0.25, 0.19, 0.12, 0.08)
    for k, size in enumerate(sizes):
        bend = (0.05 + 0.035 * k) * np.sin(a.phases - 0.75 * k)
        link = a.joint(link, (0, 0, -0.17 * (k > 0)), "y", bend)
        a.add(ellipsoid((0.55 * size, size, 0.2)), link, scales)
        if k == 0:
            for x in (-1, 1):
                a.add(ellipsoid((0.03, 0.04, 0.04)), link, DARK, (0.08 * x, 0.05, 0.08))
        if k == 2:
            a.add(ellipsoid((0.012, 0.16, 0.2)), link, fin, (0, 0.3, -0.05))
            for x in (-1, 1):
                flap = a.joint(link, (0.12 * x, -0.1, 0.05), "z", x * (-0.5 + 0.3 * np.sin(2 * a.phases)))
                a.add(ellipsoid((0.14, 0.012, 0.08)), flap, fin, (0.1 * x, 0, -0.04))
    tail = a.joint(link, (0, 0, -0.12), "y", 0.35 * np.sin(a.phases - 5.5))
    a.add(ellipsoid((0.012, 0.24, 0.1)), tail, fin, (0, 0, -0.12))
    return a.clip()


def bicycle(frames: int) -> Clip:
    """A bicycle of thin rods whose wheels and pedals turn."""
    a = Assembly(frames)
    frame, paint = a.still(), (0.1, 0.45, 0.5)
    back, front, crank = (0, 0.34, -0.52), (0, 0.34, 0.55), (0, 0.36, -0.06)
    saddle, bar = (0, 0.86, -0.22), (0, 0.88, 0.4)
    for start, end in ((back, crank), (back, saddle), (crank, saddle), (crank, bar), (saddle, bar)):
        a.between(frame, start, end, 0.018, paint)
    a.between(frame, (0, 0.98, 0.36), front, 0.018, paint)
    a.between(frame, (-0.26, 0.98, 0.34), (0.26, 0.98, 0.34), 0.015, STEEL)
    a.add(ellipsoid((0.07, 0.03, 0.14)), frame, DARK, (0, 0.92, -0.24))
    for place in (back, front):
        wheel = a.joint(a.still(*place), (0, 0, 0), "x", a.phases / 4)
        a.add(ring(0.32, 0.022), wheel, DARK)
        for k in range(8):
            spoke = a.joint(wheel, (0, 0, 0), "x", k * math.pi / 4)
            a.between(spoke, (0, 0, 0), (0, 0.31, 0), 0.006, STEEL)
    pedals = a.joint(a.still(*crank), (0, 0, 0), "x", a.phases)
    a.add(ring(0.08, 0.012), pedals, STEEL)
    for x in (-1, 1):
        a.between(pedals, (0.05 * x, 0, 0), (0.05 * x, 0.16 * x, 0), 0.012, STEEL)
        a.add(box((0.05, 0.012, 0.03)), pedals, DARK, (0.1 * x, 0.16 * x, 0))
    return a.clip()


def robot(frames: int) -> Clip:
    """An arm of rigid links on a base that turns."""
    a = Assembly(frames)
    paint = stripes((0.95, 0.6, 0.1), (0.9, 0.5, 0.05), 4, 4, 12)
    a.add(tube(0.12, 0.36, 0.32), a.still(), DARK)
    base = a.joint(a.still(0, 0.12, 0), (0, 0, 0), "y", 0.7 * np.sin(a.phases))
    a.add(tube(0.2, 0.22, 0.18), base, paint)
    link: Numbers = base
    lengths = (0.55, 0.5, 0.22)
    angles = (0.35 + 0.3 * np.sin(a.phases), 1.1 + 0.35 * np.cos(a.phases), 0.5 + 0.4 * np.sin(a.phases + 1))
    place = 0.26
    for length, angle in zip(lengths, angles, strict=True):
        link = a.joint(link, (0, place, 0), "x", angle)
        across = a.joint(link, (0, 0, 0), "z", math.pi / 2)
        a.add(tube(0.24, 0.09, 0.09), across, STEEL, (0, -0.12, 0))
        a.add(box((0.07, length / 2, 0.08)), link, paint, (0, length / 2, 0))
        place = length
    for x in (-1, 1):
        finger = a.joint(link, (0.06 * x, place, 0), "z", -x * (0.15 + 0.15 * np.cos(2 * a.phases)))
        a.add(box((0.02, 0.1, 0.03)), finger, DARK, (0, 0.1, 0))
    return a.clip()


def gyroscope(frames: int) -> Clip:
    """Three rings in each other, which turn as rigid bodies about crossed axes."""
    a = Assembly(frames)
    colours: tuple[Colour, ...] = ((0.8, 0.62, 0.2), (0.35, 0.5, 0.75), (0.75, 0.3, 0.35))
    turn = a.still()
    for radius, axis, colour in zip((0.7, 0.56, 0.42), "yzy", colours, strict=True):
        turn = a.joint(turn, (0, 0, 0), axis, a.phases / 2 + 0.4)
        a.add(ring(radius, 0.035, 48), turn, stripes(colour, (0.95, 0.95, 0.9), 12, 1, 13))
    a.between(turn, (0, -0.42, 0), (0, 0.42, 0), 0.02, STEEL)
    a.add(
        tube(0.08, 0.3, 0.3, 24), turn, stripes((0.25, 0.25, 0.28), (0.9, 0.85, 0.3), 8, 1, 14), (0, -0.04, 0)
    )
    return a.clip()


MADE: dict[str, Callable[[int], Clip]] = {
    maker.__name__: maker
    for maker in (car, windmill, plant, walker, person, bird, fish, bicycle, robot, gyroscope)
}
