"""Crocodiles and lizards, tortoises and turtles, frogs, and dinosaurs on two legs."""

from __future__ import annotations

import math

import numpy as np

from train.data.procedural.anatomy import SMOOTH, UP, Body, curve, down, frame, heading, mirrored, path
from train.data.procedural.fauna.coats import coats
from train.data.procedural.parts import Part, Pose, Vector, moved

TORSO, NECK, TAIL = 5, 3, 8


def _sprawled(
    a: Body, hip: Vector, side: int, length: float, thick: float, turn: float, fall: float
) -> list[Part]:
    """A leg that goes out to the side and then down, with a flat hand; turned forwards by `turn`."""
    upper = mirrored(heading(-fall, math.pi / 2 - turn), side)
    lower = mirrored(heading(-1.2, math.pi / 2 - 0.6 * turn), side)
    joints = path(hip, [0.5 * length * upper, 0.45 * length * lower])
    hand = 0.22 * length
    way = mirrored(heading(0.0, 0.5), side)
    return [
        *a.limb(joints, [thick, 0.8 * thick], ["legs", "legs"], UP),
        a.blob(joints[2] + 0.5 * hand * way, (hand, 0.4 * thick, 0.6 * hand), "feet", frame(way)),
    ]


def _jaws(a: Body, size: float, long: float, flat: float, gape: float) -> list[Part]:
    """A flat skull with two jaws, and eyes on top."""
    wide = size * a.u(0.35, 0.75)
    parts = [a.blob((0, 0, 0), (1.1 * size, 0.85 * flat * size, size), "head")]
    for way, region, thick in ((heading(-0.05), "head", 0.4), (heading(-0.12 - gape), "face", 0.3)):
        root = np.array([0.4 * size, -0.15 * flat * size * (region == "face"), 0])
        for at, w in ((0.3, 0.9), (0.75, 0.7)):
            half = (0.4 * long, thick * flat * size, w * wide)
            parts.append(a.blob(root + at * long * way, half, region, frame(way), at))
    eye = size * a.u(0.15, 0.28)
    return parts + [
        a.blob((0.45 * size, 0.7 * flat * size, s * 0.6 * size), (eye, eye, eye), "eye") for s in (1, -1)
    ]


def reptile(random: np.random.Generator) -> Pose:
    """A low body on sprawling legs: crocodiles, lizards, salamanders."""
    a = Body(random, coats(random, vivid=0.3))
    u = a.u
    high, wide = u(0.1, 0.2), u(1.0, 1.7)
    leg, thick, fall = u(0.3, 0.65), u(0.04, 0.085), u(0.0, 0.5)
    tail, tail_tall, tip = u(0.8, 1.8), u(0.8, 1.4), u(0.1, 0.3)
    neck, rise, lift = u(0.12, 0.4), u(-0.1, 0.6), u(-0.05, 0.2)
    head = _jaws(a, u(0.1, 0.17), u(0.15, 0.65), u(0.55, 0.9), u(0.0, 0.5) if a.chance(0.3) else 0.0)
    spiny, spine_tall, frill = a.chance(0.4), u(0.03, 0.12), a.chance(0.15)
    bend, lag, swing, turn = a.askew(0.25), u(0.2, 0.5), u(0.2, 0.7), a.askew(0.5)
    wave = u(0.05, 0.3)
    size = high * np.array([0.75, 0.95, 1.05, 1.0, 0.8])

    def pose(phase: float) -> list[Part]:
        now = wave * a.sway(phase) + bend
        spine = curve(np.zeros(3), 1.0, [lift] * (TORSO - 1), [now * x for x in (-1.0, -0.4, 0.4, 1.0)])
        parts = a.chain(spine, size, size * wide, "body", overlap=SMOOTH)
        yaws = [
            now * -1.2 - lag * (k / TAIL) * a.sway(phase, -0.05 * k) - 0.25 * bend * k for k in range(TAIL)
        ]
        root = spine[0] - 0.08 * heading(0.0, -now)
        pitches = [math.pi + 0.25 - 0.25 * k / TAIL - lift for k in range(TAIL)]
        joints = curve(root, tail, pitches, yaws)
        radii = high * np.linspace(0.75, tip, TAIL + 1)
        parts += a.chain(joints, radii * tail_tall, radii, "tail", "tip")
        for side in (1, -1):
            for at, shift in ((3, 0.0), (0, 0.5)):
                hip = spine[at] + np.array([0.0, -0.2 * high, side * 0.7 * size[at] * wide])
                step = swing * a.sway(phase, shift + 0.25 * side) + (0.2 if at else -0.3)
                parts += _sprawled(a, hip, side, leg, thick * (1.0 if at else 1.2), step, fall)
        joints = curve(
            spine[-1], neck, [rise, 0.6 * rise, 0.2 * rise], [now + turn * x for x in (0.2, 0.4, 0.7)]
        )
        parts += a.chain(joints, high * 0.62, high * 0.7 * wide**0.5, "body")
        way = heading(0.1 * rise, turn + now)
        parts += moved(head, frame(way), joints[-1] + 0.08 * way)
        if spiny:
            for k in range(TORSO):
                top = spine[k] + np.array([0, size[k], 0])
                parts.append(a.blob(top, (0.13, spine_tall, 0.02), "crest", frame(heading(0.3, now))))
        if frill:
            parts.append(a.blob(joints[-1], (0.05, 0.28, 0.3), "crest", frame(way)))
        return parts

    return pose


def tortoise(random: np.random.Generator) -> Pose:
    """A tortoise on four legs, or a turtle with flippers."""
    a = Body(random, coats(random, vivid=0.2))
    u = a.u
    dome, wide, swimming = u(0.2, 0.5), u(0.35, 0.5), a.chance(0.3)
    leg, thick, flipper = u(0.2, 0.4), u(0.07, 0.13), u(0.4, 0.8)
    neck, rise, tail = u(0.12, 0.35), u(-0.1, 0.8), u(0.05, 0.3)
    if swimming:
        dome, rise = 0.6 * dome, 0.2 * rise
    head = _jaws(a, u(0.08, 0.14), u(0.08, 0.16), u(0.8, 1.0), 0.0)
    turn, swing = a.askew(0.5), u(0.1, 0.5)
    scutes = a.chance(0.4)

    def pose(phase: float) -> list[Part]:
        parts = [
            a.blob((0, 0, 0), (0.5, 0.38 * dome + 0.06, wide), "wing"),
            a.blob((-0.01, 0.34 * dome, 0), (0.45, 0.42 * dome, 0.89 * wide), "wing"),
            a.blob((-0.02, 0.62 * dome, 0), (0.34, 0.36 * dome, 0.66 * wide), "wing"),
            a.blob((0, -0.06, 0), (0.52, 0.1, wide + 0.03), "tip"),
            a.blob((0, -0.12, 0), (0.46, 0.09, wide - 0.05), "body"),
        ]
        if scutes:
            for x in (-0.28, 0.0, 0.28):
                parts.append(a.blob((x, 0.88 * dome * math.cos(2 * x), 0), (0.15, 0.1, 0.14), "crest"))
        for side in (1, -1):
            for x, shift in ((0.32, 0.0), (-0.32, 0.5)):
                hip = np.array([x, -0.12, side * 0.7 * wide])
                step = swing * a.sway(phase, shift + 0.25 * side)
                if swimming:
                    beat = swing * math.sin(2 * math.pi * phase)
                    long = flipper if x > 0 else 0.5 * flipper
                    way = mirrored(heading(beat, 1.0 if x > 0 else 2.4), side)
                    place = hip + 0.5 * long * way
                    parts += [
                        a.blob(place, (0.6 * long, 0.03, 0.11), "legs", frame(way)),
                        a.blob(hip, (0.1,) * 3, "legs"),
                    ]
                    continue
                steps = [
                    0.5 * leg * mirrored(down(step, 0.7), side),
                    0.5 * leg * mirrored(down(step, 0.1), side),
                ]
                parts += a.limb(path(hip, steps), [thick, 0.9 * thick], ["legs", "legs"])
                parts.append(a.blob(hip + sum(steps), (thick * 1.1, 0.05, thick), "feet"))
        joints = curve(np.array([0.4, -0.08, 0]), neck, [rise, 0.8 * rise], [0.3 * turn, 0.8 * turn])
        parts += a.chain(joints, 0.08, 0.08, "head")
        way = heading(0.0, turn + 0.1 * a.sway(phase))
        parts += moved(head, frame(way), joints[-1] + 0.06 * way)
        parts.append(a.link(np.array([-0.45, -0.1, 0]), np.array([-0.5 - tail, -0.16, 0]), 0.04, "tail", UP))
        return parts

    return pose


def frog(random: np.random.Generator) -> Pose:
    """A frog that squats with its hind legs folded, or leaps."""
    a = Body(random, coats(random, vivid=0.5))
    u = a.u
    high, wide, pitch = u(0.18, 0.32), u(0.24, 0.4), u(0.1, 0.8)
    eye, thick, leap = u(0.06, 0.12), u(0.05, 0.09), 1.0 if a.chance(0.25) else 0.0
    leg, turn = u(0.4, 0.6), a.askew(0.25)

    def pose(phase: float) -> list[Part]:
        stretched = leap * (0.5 + 0.5 * math.sin(2 * math.pi * phase))
        spine = curve(np.zeros(3), 0.6, [pitch, pitch, 0.6 * pitch], [0.0, 0.0, turn])
        parts = a.chain(
            spine,
            high * np.array([0.7, 1, 1, 0.8]),
            wide * np.array([0.6, 0.95, 1, 0.85]),
            "body",
            overlap=SMOOTH,
        )
        way = heading(0.3 * pitch, turn)
        place = spine[-1] + 0.05 * way
        head = [
            a.blob((0.1, 0, 0), (0.22, 0.6 * high, 0.8 * wide), "head"),
            a.blob((0.14, -0.35 * high, 0), (0.2, 0.3 * high, 0.75 * wide), "face"),
        ]
        head += [a.blob((0.1, 0.6 * high, s * 0.55 * wide), (eye,) * 3, "eye") for s in (1, -1)]
        parts += moved(head, frame(way), place)
        for side in (1, -1):
            wobble = 0.1 * a.sway(phase, 0.25 * side)
            hip = spine[0] + np.array([0, -0.1 * high, side * 0.6 * wide])
            angles = [(0.1, 0.7), (math.pi - 0.2, 0.5), (-0.3, 0.5)]
            straight = (math.pi + 0.3, 0.3)
            steps = [
                leg
                * mirrored(
                    heading(p + (straight[0] - p) * stretched, y + (straight[1] - y) * stretched), side
                )
                for p, y in angles
            ]
            steps[2] = 0.7 * steps[2]
            parts += a.limb(path(hip, steps), [1.4 * thick, thick, 0.6 * thick], ["body", "legs", "feet"], UP)
            shoulder = spine[2] + np.array([0, -0.3 * high, side * 0.8 * wide])
            arms = [
                0.22 * mirrored(down(-0.4 + wobble, 0.5), side),
                0.22 * mirrored(down(0.3 + stretched, 0.1), side),
            ]
            parts += a.limb(path(shoulder, arms), [0.8 * thick, 0.6 * thick], ["legs", "legs"])
            parts.append(a.blob(shoulder + sum(arms), (0.09, 0.025, 0.07), "feet"))
        return parts

    return pose


def dinosaur(random: np.random.Generator) -> Pose:
    """A dinosaur on two strong legs, with a heavy tail."""
    a = Body(random, coats(random, vivid=0.25))
    u = a.u
    high, pitch, upright = u(0.16, 0.3), u(-0.1, 0.5), u(0.6, 0.95)
    leg, thick, swing = u(0.7, 1.2), u(0.09, 0.17), u(0.1, 0.7)
    tail, droop, neck, rise = u(0.8, 1.6), u(-0.2, 0.4), u(0.25, 0.7), u(0.5, 1.3)
    head = _jaws(a, u(0.1, 0.22), u(0.15, 0.5), u(0.8, 1.1), u(0.0, 0.6) if a.chance(0.4) else 0.05)
    arm, reach, turn, wag = u(0.12, 0.45), u(0.0, 1.0), a.askew(0.4), u(0.05, 0.4)
    sail = u(0.15, 0.4) if a.chance(0.2) else 0.0
    size = high * np.array([0.85, 1.0, 1.05, 0.75])

    def pose(phase: float) -> list[Part]:
        spine = curve(np.zeros(3), 0.75, [pitch - 0.1, pitch, pitch + 0.2])
        spine[:, 1] += 0.02 * math.sin(4 * math.pi * phase)
        parts = a.chain(spine, size, size * upright, "body", overlap=SMOOTH)
        joints = curve(spine[-1], neck, [rise, rise + 0.1, 0.7 * rise], [0.2 * turn, 0.4 * turn, 0.7 * turn])
        parts += a.chain(
            joints, high * np.linspace(0.7, 0.45, NECK + 1), high * np.linspace(0.6, 0.42, NECK + 1), "body"
        )
        way = heading(-0.1, turn + 0.1 * a.sway(phase))
        parts += moved(head, frame(way), joints[-1] + 0.06 * way)
        yaws = [wag * (0.2 + k / TAIL) * a.sway(phase, -0.04 * k) for k in range(TAIL)]
        joints = curve(
            spine[0] + np.array([-0.05, 0.02, 0]), tail, [math.pi + droop + pitch * 0.4] * TAIL, yaws
        )
        radii = high * np.linspace(0.75, 0.15, TAIL + 1)
        parts += a.chain(joints, radii, radii * 0.9, "tail", "tip")
        for side in (1, -1):
            step, lift = swing * a.sway(phase, 0.25 * side), swing * a.sway(phase, 0.25 * side + 0.25)
            hip = spine[0] + np.array([0.08, -0.2 * high, side * 0.6 * high])
            angles = (0.5 + step, -0.6 + step - max(lift, 0), 0.3 + 0.8 * step)
            joints = path(hip, [n * leg * down(t) for n, t in zip((0.38, 0.36, 0.26), angles, strict=True)])
            parts += a.limb(joints, [1.3 * thick, 0.65 * thick, 0.4 * thick], ["body", "legs", "legs"])
            parts.append(
                a.blob(
                    joints[3] + np.array([0.5 * thick, 0, 0]), (1.3 * thick, 0.3 * thick, 0.8 * thick), "feet"
                )
            )
            shoulder = spine[-1] + np.array([0.0, -0.4 * high, side * 0.55 * high])
            arms = path(shoulder, [0.5 * arm * down(-0.2 + 0.3 * step), 0.5 * arm * down(0.4 + reach)])
            parts += a.limb(arms, [0.35 * thick, 0.25 * thick], ["legs", "feet"])
        if sail:
            parts.append(a.blob(spine[1] + np.array([0.05, high, 0]), (0.35, sail, 0.025), "crest"))
        return parts

    return pose
