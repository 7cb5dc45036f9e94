"""Standing, walking and swimming birds; flying birds and bats."""

from __future__ import annotations

import math

import numpy as np

from train.data.procedural.anatomy import SMOOTH, UP, Body, curve, down, frame, heading, mirrored, path
from train.data.procedural.fauna.coats import coats
from train.data.procedural.parts import Part, Pose, Vector, moved, rotation

NECK, FEATHERS, FINGERS = 4, 5, 4


def _head(a: Body, size: float) -> list[Part]:
    """A head with a beak, and sometimes a comb, a crest or the round face of an owl."""
    long, thick, hooked = size * a.u(0.4, 2.6), size * a.u(0.15, 0.5), a.u(-0.1, 0.6)
    flat, eye = a.u(0.5, 1.3), size * a.u(0.12, 0.3)
    root = np.array([0.75 * size, -0.1 * size, 0])
    middle = root + 0.55 * long * heading(-0.1)
    tip = middle + 0.5 * long * heading(-0.1 - hooked)
    parts = [
        a.blob((0, 0, 0), (1.05 * size, size, a.u(0.8, 1.05) * size), "head"),
        a.link(root, middle, (thick, thick * flat), "beak", UP),
        a.link(middle, tip, (0.6 * thick, 0.6 * thick * flat), "beak", UP),
    ]
    parts += [
        a.blob((0.45 * size, 0.25 * size, s * 0.75 * size), (eye, eye, 0.6 * eye), "eye") for s in (1, -1)
    ]
    kind = a.u(0, 1)
    if kind < 0.2:  # comb and wattle
        parts.append(a.blob((0.2 * size, 0.95 * size, 0), (0.7 * size, 0.5 * size, 0.12 * size), "crest"))
        parts.append(a.blob((0.7 * size, -0.8 * size, 0), (0.2 * size, 0.5 * size, 0.15 * size), "crest"))
    elif kind < 0.4:  # crest
        tall, lean = size * a.u(0.6, 1.6), a.u(1.6, 2.8)
        way = heading(lean)
        crest = (tall, 0.25 * size, 0.12 * size)
        parts.append(a.blob(0.7 * size * way + 0.5 * tall * way, crest, "crest", frame(way)))
    elif kind < 0.55:  # discs and tufts
        tuft = a.u(0.0, 0.8) * size
        for s in (1, -1):
            disc = (0.2 * size, 0.6 * size, 0.5 * size)
            parts.append(a.blob((0.75 * size, 0.15 * size, s * 0.4 * size), disc, "face"))
            way = mirrored(heading(1.2, 0.4), s)
            parts.append(a.blob(size * (0.75 * UP + np.array([0, 0, 0.5 * s])) + 0.3 * tuft * way,
                                (tuft, 0.15 * size, 0.2 * size), "ears", frame(way)))  # fmt: skip
    return parts


def _fan(a: Body, length: float, wide: float, open_: float, lift: float) -> list[Part]:
    """Tail feathers that point backwards from the origin."""
    parts = []
    for k in np.linspace(-1, 1, FEATHERS):
        way = heading(math.pi - lift, float(k) * open_)
        size = (0.55 * length, 0.02, wide)
        parts.append(a.blob(0.5 * length * way, size, "tip" if abs(k) > 0.8 else "tail", frame(way)))
    return parts


def _folded_wing(a: Body, side: int, root: Vector, way: Vector, long: float, round_: float) -> list[Part]:
    """A wing that lies along a body of radius `round_`."""
    parts = []
    for k, (at, high) in enumerate(((0.12, 0.75), (0.38, 0.65), (0.62, 0.35))):
        place = root + long * at * way - np.array([0, 0, side * 0.05 * k])
        half = (long * 0.3, high * round_, 0.16 * round_)
        parts.append(a.blob(place, half, "wing" if k < 2 else "tip", frame(way), at))
    return parts


def bird(random: np.random.Generator) -> Pose:
    """A bird on its legs with folded wings: hens, ducks, owls, ostriches, herons, penguins."""
    a = Body(random, coats(random, vivid=0.35))
    u = a.u
    pitch = u(-0.1, 0.5) if a.chance(0.7) else u(0.7, 1.3)
    round_, deep = u(0.2, 0.36), u(0.85, 1.15)
    leg, thick = (u(0.15, 0.5) if a.chance(0.65) else u(0.6, 1.4)), u(0.018, 0.05)
    afloat = a.chance(0.1)
    long_necked = a.chance(0.4)
    neck, rise, s_bend = u(0.5, 1.3) if long_necked else u(0.12, 0.4), u(0.5, 1.5), u(0.0, 0.7)
    head = _head(a, u(0.07, 0.13) if long_necked else u(0.11, 0.24))
    nape, nod, swing, bob = u(0.05, 0.1), -u(0.0, 0.5), u(0.0, 0.7), u(0.0, 0.15)
    if a.chance(0.12):
        rise, nod = -u(0.3, 0.8), -u(0.5, 1.2)
    fan = _fan(a, u(0.2, 0.9) * (2 if a.chance(0.15) else 1), u(0.04, 0.09), u(0.05, 0.5), u(-0.5, 0.9))
    if a.chance(0.1):
        fan = _fan(a, u(0.6, 1.2), u(0.08, 0.13), 1.2, u(0.8, 1.3))
    wing, low, ajar = u(0.7, 1.15), u(-0.1, 0.35), u(0.0, 0.15)
    turn, toe = a.askew(0.5), u(0.1, 0.25)
    ts = np.linspace(0, 1, 4)
    size = round_ * np.interp(ts, (0, 0.4, 0.75, 1), (0.5, 0.95, 1.0, 0.7))

    def pose(phase: float) -> list[Part]:
        spine = curve(
            np.array([-0.4 * math.cos(pitch), -0.4 * math.sin(pitch), 0]),
            0.75,
            [pitch - 0.1, pitch, pitch + 0.1],
        )
        parts = a.chain(spine, size * deep, size, "body", overlap=SMOOTH)
        parts += moved(fan, rotation(0, 0, pitch), spine[0])
        for side in (1, -1):
            way = mirrored(heading(math.pi + pitch - low, -ajar), side)
            shoulder = spine[2] + np.array([0.1, 0.15 * round_, side * 0.86 * round_])
            parts += _folded_wing(a, side, shoulder, way, wing, round_)
            stride = swing * a.sway(phase, 0.25 * side)
            hip = spine[1] + np.array([0.08, -0.5 * round_, side * 0.45 * round_])
            bend = (0.5, -0.5, 0.1) if not afloat else (1.4, -1.4, 0.0)
            steps = [0.4 * leg * down(t + stride) for t in bend[:2]] + [0.28 * leg * down(bend[2] + stride)]
            joints = path(hip, steps)
            parts.append(a.link(joints[0], joints[1], 0.16 * round_ + 0.13 * leg + thick, "body"))
            parts += a.limb(joints[1:], [thick * 1.2, thick], ["legs", "legs"])
            for yaw in (-0.6, 0.0, 0.6, math.pi):
                way = heading(-0.1, yaw)
                parts.append(
                    a.link(joints[3], joints[3] + toe * (0.6 if yaw > 1 else 1) * way, thick, "feet", UP)
                )
        start = spine[-1] + np.array([0.02, 0.1 * round_, 0])
        push = bob * math.sin(4 * math.pi * phase)
        pitches = [rise + s_bend * x - push for x in (-1.0, 1.0, 1.0, 0.0)]
        joints = curve(start, neck, pitches, [turn * x for x in (0.0, 0.2, 0.4, 0.6)])
        radii = (
            np.linspace(0.7 * round_, nape, NECK + 1)
            if not long_necked
            else np.linspace(1.6, 1, NECK + 1) * nape
        )
        parts += a.chain(joints, radii, radii, "body" if not long_necked else "head")
        way = heading(nod, turn + 0.1 * a.sway(phase))
        return parts + moved(head, frame(way), joints[-1] + 0.05 * way)

    return pose


def flyer(random: np.random.Generator) -> Pose:
    """A flying bird, bat or winged reptile with spread wings, banked, beating them or gliding."""
    bat = random.random() < 0.25
    a = Body(random, coats(random, vivid=0.05 if bat else 0.3))
    u = a.u
    span, chord, fat = u(0.6, 1.6), u(0.14, 0.4), u(0.08, 0.18)
    beat, rest, sweep, flat = (
        (u(0.0, 0.2) if a.chance(0.4) else u(0.3, 1.0)),
        u(-0.2, 0.4),
        u(-0.3, 0.6),
        u(-0.2, 0.1),
    )
    head, neck = _head(a, u(0.06, 0.12)), u(0.05, 0.45) if a.chance(0.5) else 0.08
    ears = u(0.1, 0.3) if bat else 0.0
    fan = _fan(a, u(0.15, 0.5), u(0.03, 0.07), u(0.05, 0.6), u(-0.2, 0.2))
    fingers, finger = u(0.1, 0.7), u(0.2, 0.45) * span
    bank, climb, turn = a.askew(0.9) if a.chance(0.7) else 0.0, u(-0.5, 0.6), a.askew(0.4)
    trailing, lift = u(0.1, 0.4), u(-0.1, 0.3)

    def pose(phase: float) -> list[Part]:
        spine = curve(np.array([-0.35, 0, 0]), 0.7, [0.05, 0.0, -0.05])
        parts = a.chain(
            spine,
            fat * np.array([0.5, 0.95, 1, 0.7]),
            fat * np.array([0.5, 0.9, 1.05, 0.75]),
            "body",
            overlap=SMOOTH,
        )
        parts += moved(fan, np.eye(3), spine[0])
        joints = curve(spine[-1], neck, [lift, 0.5 * lift], 0.3 * turn)
        parts += a.chain(joints, 0.055 + 0.3 * fat, 0.055 + 0.3 * fat, "head")
        parts += moved(head, frame(heading(-0.1, turn)), joints[-1] + np.array([0.06, 0, 0]))
        swing = rest + beat * math.sin(2 * math.pi * phase)
        fold = -0.5 * beat * math.cos(2 * math.pi * phase)
        for side in (1, -1):
            parts += _wing(
                a, side, spine[2], fat, (span, chord), (swing, fold + flat, sweep), (fingers, finger), bat
            )
            hip = spine[0] + np.array([0.1, -0.4 * fat, side * 0.4 * fat])
            parts.append(a.link(hip, hip + trailing * heading(math.pi + 0.1, -0.1 * side), 0.025, "legs", UP))
            if bat:
                way = mirrored(heading(1.3, 0.9), side)
                root = joints[-1] + np.array([0, 0.06, side * 0.05])
                parts.append(
                    a.blob(root + 0.5 * ears * way, (0.6 * ears, 0.02, 0.3 * ears), "ears", frame(way))
                )
        whole = rotation(bank, 0, 0)
        return moved(parts, rotation(0, 0, climb) @ whole, np.zeros(3))

    return pose


def _wing(
    a: Body, side: int, root: Vector, fat: float, size: tuple[float, float],
    angles: tuple[float, float, float], fingers: tuple[float, float], bat: bool,
) -> list[Part]:  # fmt: skip
    """A wing: three sails along an arm, a bat's points, and feathers or fingers spread at its end."""
    (span, chord), (swing, fold, sweep) = size, angles
    place = root + np.array([0.05, 0.3 * fat, side * 0.5 * fat])
    parts: list[Part] = []
    wide = chord
    for k, (share, angle) in enumerate(((0.3, 0.3), (0.35, 0.0), (0.3, -0.5))):
        lift, back = swing + fold * k, sweep * (k - 1) + angle
        way = np.array(
            [math.sin(back) * math.cos(lift), math.sin(lift), side * math.cos(back) * math.cos(lift)]
        )
        step = share * span * way
        turn = frame(way)
        trail = -turn[:, 2] * side  # towards the tail
        trail = trail if trail[0] < 0 else -trail
        middle = place + 0.5 * step + 0.45 * wide * trail
        region = "tip" if k == 2 else "wing"
        parts.append(a.blob(middle, (0.72 * share * span, 0.022, wide), region, turn, 0.3 * k))
        parts.append(a.link(place, place + step, 0.035 - 0.008 * k, "body" if k < 2 else "wing", UP))
        if bat:
            point = middle + 0.5 * step
            parts.append(a.blob(point + 0.8 * wide * trail, (0.05, 0.015, 0.5 * wide), "wing", turn))
        place, wide = place + step, 0.82 * wide
    open_, long = fingers
    for x in np.linspace(0.0, 1.0, FINGERS):
        mixed = way * (1 - 0.6 * x * open_ - 0.2 * x) + trail * (0.2 + x * (0.5 + open_))
        mixed /= np.linalg.norm(mixed)
        tip = frame(mixed, turn[:, 1])
        parts.append(a.blob(place - 0.1 * step + 0.42 * long * mixed, (0.5 * long, 0.015, 0.035), "tip", tip))
    return parts
