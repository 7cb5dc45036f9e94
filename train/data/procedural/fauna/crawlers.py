"""Insects, spiders, scorpions and crabs."""

from __future__ import annotations

import math

import numpy as np

from train.data.procedural.anatomy import UP, Body, curve, frame, heading, mirrored, path
from train.data.procedural.fauna.coats import coats
from train.data.procedural.parts import Part, Pose, Vector, moved


def _leg(a: Body, hip: Vector, side: int, yaw: float, length: float, knee: float, thick: float) -> list[Part]:
    """A leg that rises to a knee and descends to the ground; `yaw` 0 points to the front."""
    ways = (heading(knee, yaw), heading(-0.5 - 0.5 * knee, yaw), heading(-1.2, yaw))
    steps = [n * length * mirrored(w, side) for n, w in zip((0.4, 0.4, 0.3), ways, strict=True)]
    return a.limb(path(hip, steps), [thick, 0.75 * thick, 0.5 * thick], ["legs", "legs", "feet"], UP)


def insect(random: np.random.Generator) -> Pose:
    """An insect with folded wings, spread wings or none."""
    a = Body(random, coats(random, vivid=0.5))
    u = a.u
    head, thorax, abdomen = u(0.08, 0.16), u(0.1, 0.2), u(0.12, 0.28)
    long, waist, droop = u(0.25, 0.8), u(0.0, 0.08), u(-0.2, 0.4)
    leg, knee, thick = u(0.35, 0.9), u(0.0, 0.9), u(0.014, 0.035)
    feeler, apart, winged = u(0.1, 0.6), u(0.2, 0.7), u(0, 1)
    span, chord, beat, lift = u(0.4, 1.1), u(0.1, 0.4), u(0.2, 1.0), u(-0.1, 0.9)
    swing, turn, jaw, hop = u(0.1, 0.4), a.askew(0.2), u(0.0, 0.2), u(1.0, 1.9) if a.chance(0.25) else 1.0

    def pose(phase: float) -> list[Part]:
        end = -thorax - waist
        joints = curve(np.array([end, 0.02, 0]), long, [math.pi + droop * x for x in (0.3, 0.8, 1.2)])
        parts = a.chain(
            joints,
            abdomen * np.array([0.75, 1, 0.95, 0.55]),
            abdomen * np.array([0.75, 1, 0.95, 0.5]),
            "tail",
        )
        parts.append(a.blob((0, 0, 0), (1.2 * thorax, thorax, 0.95 * thorax), "body"))
        skull = [a.blob((0.8 * head, 0, 0), (head, 0.9 * head, head), "head")]
        for side in (1, -1):
            eye = (0.4 * head, 0.5 * head, 0.35 * head)
            skull.append(a.blob((head, 0.3 * head, side * 0.7 * head), eye, "eye"))
            root = np.array([1.4 * head, 0.5 * head, side * 0.3 * head])
            ways = (heading(0.9, apart), heading(0.2, apart + 0.2))
            skull += a.limb(
                path(root, [0.5 * feeler * mirrored(w, side) for w in ways]), [0.014, 0.01], ["horn"] * 2, UP
            )
            fang = np.array([1.6 * head, -0.4 * head, side * 0.35 * head])
            skull.append(
                a.link(fang, fang + (jaw + 0.02) * mirrored(heading(-0.2, -0.2), side), 0.02, "horn", UP)
            )
        turned = frame(heading(-0.2, turn))
        parts += moved(skull, turned, np.array([thorax, 0, 0]))
        for side in (1, -1):
            for k, yaw in enumerate((0.7, 1.5, 2.4)):
                hip = np.array([0.6 * thorax * (1 - k), -0.5 * thorax, side * 0.6 * thorax])
                step = swing * a.sway(phase, 0.5 * (k % 2) + 0.25 * side)
                size = hop if k == 2 else 1.0
                parts += _leg(a, hip, side, yaw + step, leg * size, knee * size, thick * size)
            if winged < 0.3:  # a beetle's, or folded ones
                way = mirrored(heading(math.pi + 0.05, -0.12), side)
                place = np.array([-0.2 * thorax, 0.55 * abdomen, side * 0.45 * abdomen])
                half = (0.55 * (long + thorax), 0.6 * abdomen, 0.6 * abdomen)
                parts.append(a.blob(place + 0.5 * (long + thorax) * way, half, "wing", frame(way)))
            elif winged < 0.75:
                angle = lift + beat * math.sin(2 * math.pi * phase)
                for yaw, share in ((1.3, 1.0), (2.1, 0.8)):
                    flat = mirrored(heading(0, yaw), side) * math.cos(angle) + UP * math.sin(angle)
                    place = np.array([0, 0.6 * thorax, side * 0.4 * thorax]) + 0.5 * share * span * flat
                    across = np.array([0, math.cos(angle), -side * math.sin(angle)])
                    half = (0.52 * share * span, 0.012, chord * share)
                    parts.append(a.blob(place, half, "wing", frame(flat, across)))
        return parts

    return pose


def spider(random: np.random.Generator) -> Pose:
    """A spider or a scorpion."""
    a = Body(random, coats(random, vivid=0.25))
    u = a.u
    front, back, leg = u(0.12, 0.22), u(0.15, 0.38), u(0.5, 1.2)
    knee, thick, swing = u(0.3, 1.1), u(0.02, 0.05), u(0.1, 0.3)
    scorpion, tail, claw = a.chance(0.35), u(0.7, 1.3), u(0.08, 0.16)
    tall, curled, bend = u(0.6, 1.0), u(0.4, 0.7), a.askew(0.1)

    def pose(phase: float) -> list[Part]:
        parts = [a.blob((0, 0, 0), (1.1 * front, 0.7 * front, front), "head")]
        if scorpion:
            parts.append(a.blob((-front - 0.8 * back, 0, 0), (back * 1.2, 0.6 * front, 0.9 * front), "body"))
            angles = [math.pi - curled * k for k in range(6)]
            joints = curve(np.array([-front - 1.8 * back, 0, 0]), tail, angles, [bend * k for k in range(6)])
            parts += a.chain(joints, 0.4 * front, 0.4 * front, "tail", "tip")
        else:
            parts.append(a.blob((-front - 0.8 * back, 0.1, 0), (back, tall * back, 0.9 * back), "body"))
        for side in (1, -1):
            for k, yaw in enumerate((0.6, 1.2, 1.8, 2.5)):
                hip = np.array([0.5 * front * (1.5 - k), 0, side * 0.7 * front])
                parts += _leg(
                    a, hip, side, yaw + swing * a.sway(phase, 0.5 * (k % 2) + 0.25 * side), leg, knee, thick
                )
            parts.append(a.blob((0.9 * front, 0.4 * front, side * 0.3 * front), (0.03, 0.03, 0.03), "eye"))
            root = np.array([front, -0.1 * front, side * 0.4 * front])
            parts += _pincer(a, root, side, (0.55 if scorpion else 0.25) * leg, claw if scorpion else 0.03)
        return parts

    return pose


def crab(random: np.random.Generator) -> Pose:
    """A crab, or a lobster with a tail."""
    a = Body(random, coats(random, vivid=0.5))
    u = a.u
    long, high, wide = u(0.22, 0.4), u(0.1, 0.2), u(0.3, 0.55)
    leg, knee, thick, swing = u(0.4, 0.8), u(0.2, 0.8), u(0.03, 0.06), u(0.05, 0.25)
    claw, arm, stalk = u(0.12, 0.28), u(0.3, 0.6), u(0.05, 0.2)
    lobster, tail, bend = a.chance(0.35), u(0.5, 1.0), a.askew(0.1)
    if lobster:
        wide, long = u(0.14, 0.22), 1.3 * long

    def pose(phase: float) -> list[Part]:
        parts = [
            a.blob((0, 0, 0), (long, high, wide), "body"),
            a.blob((0, -0.3 * high, 0), (0.9 * long, high, 0.85 * wide), "face"),
        ]
        if lobster:
            joints = curve(
                np.array([-0.9 * long, 0, 0]),
                tail,
                [math.pi + 0.15 * k for k in range(5)],
                [bend * k for k in range(5)],
            )
            parts += a.chain(joints, high * 0.8, wide * np.linspace(0.9, 0.6, 6), "tail", "tip")
            for yaw in (-0.5, 0.0, 0.5):
                way = heading(math.pi + 0.6, yaw)
                parts.append(a.blob(joints[-1] + 0.12 * way, (0.14, 0.02, 0.06), "tip", frame(way)))
        for side in (1, -1):
            for k, yaw in enumerate((1.0, 1.4, 1.8, 2.2)):
                hip = np.array([0.4 * long * (1.5 - k), -0.2 * high, side * 0.8 * wide])
                parts += _leg(
                    a, hip, side, yaw + swing * a.sway(phase, 0.5 * (k % 2) + 0.25 * side), leg, knee, thick
                )
            root = np.array([0.9 * long, 0.3 * high, side * 0.3 * wide])
            top = root + stalk * mirrored(heading(1.1, 0.3), side)
            parts += [a.link(root, top, 0.018, "legs"), a.blob(top, (0.035,) * 3, "eye")]
            parts += _pincer(a, np.array([0.7 * long, 0, side * 0.75 * wide]), side, arm, claw)
        return parts

    return pose


def _pincer(a: Body, root: Vector, side: int, arm: float, claw: float) -> list[Part]:
    """An arm that reaches out and then to the front, with a pincer of two fingers."""
    joints = path(
        root, [0.5 * arm * mirrored(heading(0.1, 0.9), side), 0.5 * arm * mirrored(heading(0.2, -0.2), side)]
    )
    parts = a.limb(joints, [0.06 * arm + 0.2 * claw] * 2, ["legs", "legs"], UP)
    for yaw, share in ((0.25, 0.55), (-0.3, 0.35)):
        way = mirrored(heading(0.0, yaw), side)
        parts.append(
            a.blob(joints[2] + claw * way, (1.2 * claw, 0.45 * claw, share * claw), "feet", frame(way))
        )
    return parts
