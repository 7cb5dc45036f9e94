"""People on foot and on animals' backs."""

from __future__ import annotations

import math

import numpy as np

from train.data.procedural.anatomy import FORWARD, UP, Body, down, frame, mirrored
from train.data.procedural.fauna.breeds import random_build
from train.data.procedural.fauna.coats import coats
from train.data.procedural.fauna.quadruped import beast
from train.data.procedural.parts import Part, Pose, Vector, moved, rotation
from train.data.procedural.people import stances
from train.data.procedural.people.build import Build, Frame
from train.data.procedural.people.clothes import Clothes, hanging, on_limb
from train.data.procedural.people.gear import Gear
from train.data.procedural.people.head import head_of
from train.data.procedural.people.stances import Limb, Stance
from train.data.procedural.people.wardrobe import wardrobe

RIGHT_HANDED = 0.8
"""Share of right-handed people."""


def person(random: np.random.Generator) -> Pose:
    """A person on foot."""
    a = Body(random, wardrobe(random))
    strong = -1 if a.chance(RIGHT_HANDED) else 1
    return _figure(a, Build.random(a), stances.on_foot(a, strong), strong)


def rider(random: np.random.Generator) -> Pose:
    """A person on an animal's back."""
    a = Body(random, wardrobe(random))
    mount = random_build(random, "hoofed" if a.chance(0.8) else "giant")
    strong = -1 if a.chance(RIGHT_HANDED) else 1
    above = _figure(a, Build.random(a, a.u(0.5, 0.75)), stances.astride(a, strong), strong)
    below = beast(Body(random, coats(random)), mount)
    high, wide = mount.chest_height, mount.chest_height * mount.body_width
    seat = np.array([a.u(0.45, 0.65), 0.95 * high + 0.4 * mount.hump, 0.0])
    saddle = a.blob(seat - 0.55 * high * UP, (0.2, 0.6 * high, 1.08 * wide), "saddle")

    def pose(phase: float) -> list[Part]:
        return [*below(phase), saddle, *moved(above(phase), np.eye(3), seat)]

    return pose


def _figure(a: Body, b: Build, s: Stance, strong: int) -> Pose:
    """A body with its clothes and gear."""
    clothes, gear, head = Clothes.random(a), Gear.random(a, strong, b.arm), head_of(a, b.head)
    look, nod, bob = a.askew(0.5), a.u(-0.3, 0.2), a.u(0, 0.03)

    def pose(phase: float) -> list[Part]:
        where, turn = _stood(b, s, s.twist + 0.08 * a.sway(phase), bob * math.sin(4 * math.pi * phase))
        parts, knees = _torso(a, b, where, clothes.torso), []
        for side in (1, -1):
            leg, arm = s.legs[side], s.arms[side]
            hip = where.hip - 0.6 * side * b.hip * where.low[:, 2]
            joints, shin = _joints(hip, b.leg, leg, side, leg.swing + leg.moving * a.sway(phase), -1)
            toes = np.array([-shin[1], shin[0], 0.0]) + side * 0.3 * np.array([0, 0, 1.0])
            ball = joints[2] + 2.2 * b.thick * toes / np.linalg.norm(toes)
            parts += on_limb(a, clothes.legs, joints, 1.35 * b.thick)
            parts.append(a.link(joints[2], ball, (0.6 * b.thick, 0.8 * b.thick), clothes.feet, UP))
            shoulder = where.neck - where.high @ np.array([0.12 * b.torso, 0.0, side * b.shoulder])
            swing = arm.swing + arm.moving * a.sway(phase, 0.1)
            reached, way = _joints(np.zeros(3), b.arm, arm, side, swing, 1)
            reached, way = [shoulder + turn @ joint for joint in reached], turn @ way
            palm = reached[2] + 0.5 * b.thick * way
            parts += on_limb(a, clothes.arms, reached, b.thick)
            parts.append(a.blob(palm, (b.thick, 0.7 * b.thick, 0.8 * b.thick), "skin", frame(way)))
            parts += gear.hands[side](palm, way)
            knees.append(joints[1])
        parts += hanging(a, clothes, where, b, knees, phase)
        crown = where.neck + b.head * (0.8 * where.high[:, 0] + 0.55 * UP)
        parts.append(a.link(where.neck - 0.1 * b.torso * where.high[:, 0], crown, 0.9 * b.thick, "skin"))
        gaze = turn @ rotation(0, -look, nod + 0.05 * a.sway(phase, 0.2))
        parts += moved(head, gaze, crown + 0.25 * b.head * UP)
        columns = where.high[:, [1, 0, 2]] * np.array([1.0, 1.0, -1.0])
        parts += moved(gear.back, columns, where.neck)
        return parts

    return pose


def _stood(b: Build, s: Stance, twist: float, rise: float) -> tuple[Frame, Vector]:
    """The place of the torso, and the rotation [3, 3] of the shoulders."""
    turn = rotation(0, -twist, 0)
    low = rotation(0, -0.3 * twist, 0) @ frame(np.array([0.5 * math.sin(s.lean), 1.0, 0]), FORWARD)
    high = turn @ frame(np.array([math.sin(s.lean), math.cos(s.lean), 0]), FORWARD)
    hip = rise * UP
    return Frame(hip, hip + b.torso * (0.4 * low[:, 0] + 0.6 * high[:, 0]), low, high), turn


def _joints(
    start: Vector, length: float, limb: Limb, side: int, swing: float, bends: int
) -> tuple[list[Vector], Vector]:
    """The joints of a limb that bends forwards (1) or backwards (-1), and the lower link's direction."""
    out = limb.out * (1.0 if bends < 0 else math.cos(0.5 * limb.bend))
    upper = mirrored(down(swing, limb.out), side)
    lower = mirrored(down(swing + bends * limb.bend, 0.5 * out), side)
    middle = start + 0.5 * length * upper
    return [start, middle, middle + 0.5 * length * lower], lower


def _torso(a: Body, b: Build, where: Frame, regions: tuple[str, str]) -> list[Part]:
    """Hips, belly, waist, chest and shoulders."""
    upper, lower = regions
    waist, middle = 0.41 * (b.hip + b.shoulder), where.hip + 0.4 * b.torso * where.low[:, 0]
    shapes = (  # place, turn, half sizes in torsos, depths and as they are, region
        (where.hip, where.low, (0.22, 1.0, 1.05 * b.hip), lower),
        (where.hip + 0.2 * b.torso * where.low[:, 0], where.low, (0.25, 0.95, waist), upper),
        (middle, where.high, (0.28, 0.97, waist), upper),
        (middle + 0.55 * (where.neck - middle), where.high, (0.3, 1.1, 0.95 * b.shoulder), upper),
        (where.neck - 0.1 * b.torso * where.high[:, 0], where.high, (0.12, 0.7, 1.1 * b.shoulder), upper),
    )
    return [
        a.blob(place, (high * b.torso, deep * b.deep, wide), region, turn, 0.2 * k * b.torso)
        for k, (place, turn, (high, deep, wide), region) in enumerate(shapes)
    ]
