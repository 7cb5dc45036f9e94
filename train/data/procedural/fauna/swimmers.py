"""Fish, sharks, eels and rays; whales, dolphins and seals."""

from __future__ import annotations

import math

import numpy as np

from train.data.procedural.anatomy import SMOOTH, Body, curve, frame, heading, mirrored
from train.data.procedural.fauna.coats import coats
from train.data.procedural.parts import Part, Pose, Vector

BODY = 7


def _fin(
    a: Body, root: Vector, way: Vector, length: float, wide: float, level: bool = False, region: str = "fin"
) -> Part:
    """A fin: a thin sheet that points from its root in the direction `way`, upright or level."""
    half = (0.6 * length, 0.016, wide) if level else (0.6 * length, wide, 0.016)
    return a.blob(root + 0.45 * length * way, half, region, frame(way))


def fish(random: np.random.Generator) -> Pose:
    """A fish, whose upright tail swings from side to side."""
    a = Body(random, coats(random, vivid=0.5))
    u = a.u
    kind = u(0, 1)
    high, flat = u(0.1, 0.2), u(0.5, 1.0)  # most, and sharks
    if kind < 0.25:
        high, flat = u(0.22, 0.4), u(0.2, 0.5)  # tall
    elif kind < 0.35:
        high, flat = u(0.05, 0.08), u(0.8, 1.0)  # eels
    elif kind < 0.45:
        high, flat = u(0.06, 0.1), u(3.0, 6.0)  # rays
    blunt, stem = u(0.35, 0.8), u(0.15, 0.35)
    ts = np.linspace(0, 1, BODY)
    size = high * np.interp(ts, (0, 0.25, u(0.5, 0.65), 0.85, 1), (stem, 0.6, 1.0, 0.9, blunt))
    fork, lobe, lower, tail_wide = u(0.1, 1.1), u(0.15, 0.4), u(0.6, 1.0), u(0.04, 0.12)
    dorsal, dorsal_at, second = u(0.08, 0.3), int(random.integers(2, 5)), a.chance(0.5)
    long_fin, pectoral, droop = u(0.06, 0.3), u(0.12, 0.35), u(-0.4, 0.8)
    wave, lag, bend, climb = u(0.05, 0.35), u(0.05, 0.12), a.askew(0.15), u(-0.3, 0.3)
    mouth = a.chance(0.4)
    eye = u(0.02, 0.045)

    def pose(phase: float) -> list[Part]:
        yaws = [
            (wave * (1 - k / (BODY - 1)) + 0.03) * a.sway(phase, lag * k) + bend * (k / BODY - 0.5)
            for k in range(BODY - 1)
        ]
        spine = curve(np.zeros(3), 1.0, [climb] * (BODY - 1), yaws)
        parts = a.chain(spine, size, size * flat, "body", overlap=SMOOTH)
        yaw = yaws[0] * 1.5
        for up, share in ((1, 1.0), (-1, lower)):
            way = heading(math.pi + climb - up * (0.3 + 0.6 * fork), -yaw)
            parts.append(_fin(a, spine[0], way, lobe * share, tail_wide, region="tail"))
        top = spine[dorsal_at] + np.array([0, 0.85 * size[dorsal_at], 0])
        parts.append(_fin(a, top, heading(1.9), dorsal, long_fin))
        if second:
            for up in (1, -1):
                root = spine[1] + np.array([0, up * 0.8 * size[1], 0])
                parts.append(_fin(a, root, heading(up * 2.2), 0.5 * dorsal, 0.06))
        front, way = spine[-1], heading(climb, yaws[-1])
        turn = frame(way)
        if mouth:
            parts.append(a.blob(front + 0.14 * way, (0.06, 0.3 * size[-1], 0.3 * size[-1]), "face", turn))
        for side in (1, -1):
            place = front + turn @ np.array([0.06, 0.3 * size[-1], side * 0.85 * flat * size[-1]])
            parts.append(a.blob(place, (eye, eye, 0.6 * eye), "eye"))
            flap = 0.3 * math.sin(2 * math.pi * phase)
            root = spine[-2] + turn @ np.array([0, -0.35 * size[-2], side * 0.8 * flat * size[-2]])
            way_ = turn @ mirrored(heading(-droop + flap, 2.2), side)
            parts.append(_fin(a, root, way_, pectoral, 0.3 * pectoral, True))
            root = spine[3] + np.array([0, -0.8 * size[3], side * 0.3 * flat * size[3]])
            parts.append(_fin(a, root, mirrored(heading(-2.0, 0.3), side), 0.5 * pectoral, 0.05))
        return parts

    return pose


def whale(random: np.random.Generator) -> Pose:
    """A whale, whose level fluke beats up and down, or a seal, whose body is raised in front."""
    a = Body(random, coats(random))
    u = a.u
    seal = a.chance(0.35)
    high, wide, blunt = u(0.11, 0.2), u(0.85, 1.1), u(0.35, 1.0)
    ts = np.linspace(0, 1, BODY)
    size = high * np.interp(ts, (0, 0.3, 0.65, 1), (u(0.15, 0.3), 0.65, 1.0, 0.55 if seal else blunt))
    fluke, flipper, dorsal = u(0.15, 0.3), u(0.18, 0.45), u(0.08, 0.25) if a.chance(0.6) else 0.0
    beak, beat, climb, raised = u(0.05, 0.22), u(0.05, 0.3), u(-0.3, 0.4), u(0.1, 0.9)
    head, tusks, bend = u(0.7, 0.95) * high, a.chance(0.3), a.askew(0.2)
    dorsal = 0.0 if seal else dorsal
    has_beak = seal or a.chance(0.6)

    def pose(phase: float) -> list[Part]:
        wave = [beat * (1 - k / BODY) * math.sin(2 * math.pi * (phase + 0.08 * k)) for k in range(BODY - 1)]
        pitches = [w + climb for w in wave]
        if seal:
            pitches = [0.2 * w + raised * max(k - 1, 0) / 3 for k, w in enumerate(wave)]
        yaws = [bend * (k / BODY - 0.4) * (1 + 0.3 * a.sway(phase)) for k in range(BODY - 1)]
        spine = curve(np.zeros(3), 1.0, pitches, yaws)
        parts = a.chain(spine, size, size * wide, "body", overlap=SMOOTH)
        nose = heading(0.2 * pitches[-1] if seal else pitches[-1], yaws[-1])
        turn, front = frame(nose), spine[-1]
        if seal:
            front = front + 0.6 * head * nose
            parts.append(a.blob(front, (1.2 * head, head, 0.95 * head), "head", turn))
        if has_beak:
            place = front + (head if seal else 0.12 + 0.4 * beak) * nose - 0.3 * high * turn[:, 1] * blunt
            parts.append(a.blob(place, (0.7 * beak + 0.03, 0.35 * high, 0.4 * high), "face", turn))
        if dorsal:
            root = spine[2] + np.array([0, 0.85 * size[2], 0])
            parts.append(_fin(a, root, heading(2.1), dorsal, 0.07))
        for side in (1, -1):
            way = mirrored(heading(math.pi + pitches[0], -0.9 if not seal else -0.4), side)
            parts.append(_fin(a, spine[0], way, fluke, 0.07, True, "tail"))
            root = spine[4] + turn @ np.array([0, -0.5 * size[4], side * 0.8 * size[4] * wide])
            sweep = mirrored(heading(-0.9 if seal else -0.4, 1.6 if seal else 2.1), side)
            parts.append(_fin(a, root, sweep, flipper, 0.08, True))
            place = front + turn @ np.array([0.4 * head, 0.25 * head, side * 0.75 * head])
            parts.append(a.blob(place, (0.022, 0.022, 0.018), "eye"))
            if seal and tusks:
                place = front + turn @ np.array([head + 0.4 * beak, -0.5 * high, side * 0.2 * high])
                parts.append(a.link(place, place - 0.16 * turn[:, 1], 0.016, "horn"))
        return parts

    return pose
