"""Animals on four legs, or on two of them: one anatomy with many builds (see `breeds`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from train.data.procedural.anatomy import FORWARD, SMOOTH, Body, curve, down, heading, mirrored, path
from train.data.procedural.fauna.breeds import Build, random_build
from train.data.procedural.fauna.coats import coats
from train.data.procedural.fauna.head import head_of, placed, trunk_of
from train.data.procedural.parts import Making, Part, Pose, Vector

TORSO, NECK, TAIL = 6, 4, 6
"""Numbers of ellipsoids; the neck and the tail have one more."""
WALK = {1: (0.0, 0.5), -1: (0.5, 0.0)}
"""Phases of the fore and the hind leg, on the left (1) and the right (-1)."""


@dataclass(frozen=True)
class Stance:
    """How an animal stands, sits or lies; angles in radians."""

    pitch: float  # of the spine
    fore: tuple[float, float, float]  # of the three links of a fore leg
    hind: tuple[float, float, float]
    swing: float  # amplitude of a walk
    rise: float  # added to the pitch of the neck
    nod: float  # pitch of the head


def quadruped(family: str) -> Making:
    """The maker of a family."""

    def make(random: np.random.Generator) -> Pose:
        a = Body(random, coats(random))
        return beast(a, random_build(random, family))

    return make


def beast(a: Body, b: Build) -> Pose:
    """An animal of a given build."""
    s = _stance(a, b)
    head, neck, tail, shaggy = head_of(a, b), _neck(a, b, s), _tail(a, b), _mane(a, b)
    pace, bend, stoop = a.u(-0.15, 0.15), a.askew(0.15), a.u(0.0, 0.03)
    wag, flex = a.u(0.05, 0.5), a.u(0.0, 0.15)
    turn = a.askew(0.45)
    curls, wave = a.u(-0.2, 0.3, 5), a.u(0.0, 0.25)
    ts = np.linspace(0, 1, TORSO)
    size = np.interp(ts, (0, 0.45, 1), (b.haunch, b.belly, 1.0)) * b.chest_height
    size *= np.array([0.8, 1, 1, 1, 1, 0.85])
    wide = size * b.body_width
    tall = size + 0.5 * b.hump * np.exp(-(((ts - 0.85) / 0.2) ** 2))

    def pose(phase: float) -> list[Part]:
        aside = bend + flex * a.sway(phase) * s.swing
        pitches = s.pitch + 3 * b.back_arch * np.linspace(1, -1, TORSO - 1)
        yaws = aside * np.linspace(-1, 1, TORSO - 1)
        spine = curve(np.zeros(3), 1.0, [float(x) for x in pitches], [float(y) for y in yaws])
        spine[:, 1] += stoop * math.sin(4 * math.pi * phase) + tall - size
        parts = a.chain(spine, tall, wide, "body", overlap=SMOOTH)
        front, along = spine[-1], heading(s.pitch, aside)
        for side in (1, -1):
            for fore in (True, False):
                hip = spine[-1 if fore else 0] * 0.88 + spine[2] * 0.12
                hip = hip + mirrored(
                    np.array([0, -0.35 * size[-1 if fore else 0], b.hip_spacing * wide[-2]]), side
                )
                shift = WALK[side][0 if fore else 1] + (0.0 if fore else pace + 0.25)
                parts += _leg(a, b, hip, side, fore, s, a.sway(phase, shift), a.sway(phase, shift + 0.25))
        start = front + 0.25 * size[-1] * np.array([-math.sin(s.pitch), math.cos(s.pitch), 0]) + 0.05 * along
        spine_of_neck, way = neck(start, aside + turn * 0.5, aside + turn + 0.1 * a.sway(phase))
        radii = (
            np.linspace(0.85, max(b.nape_thickness * 0.7, 0.75 * b.head_radius / b.chest_height), NECK + 1)
            * b.chest_height
            * 0.75
        )
        parts += a.chain(
            spine_of_neck, radii * 1.05, radii * (0.5 + 0.5 * b.body_width), "body", overlap=SMOOTH
        )
        crown = spine_of_neck[-1] + 0.4 * b.head_radius * way
        whole = list(head)
        if b.trunk_length > 0.4:
            bends = curls + wave * math.sin(2 * math.pi * phase)
            whole += trunk_of(a, b, [float(x) for x in bends])
        parts += placed(whole, crown, way)
        parts += shaggy(spine, spine_of_neck, tall)
        root = spine[0] + np.array([-0.5 * size[0], 0.45 * size[0] * math.cos(s.pitch), 0.0])
        parts += tail(root, wag * a.sway(phase, 0.3) - bend, s.pitch)
        return parts

    return pose


def _stance(a: Body, b: Build) -> Stance:
    z, chance = b.leg_zigzag, a.u(0, 1)
    fore, hind = (-0.5 * z, 0.3 * z, 0.0), (0.7 * z, -0.8 * z, 0.15 * z)
    folded, swing, rise, nod = (1.25, -1.1, 1.5), a.u(0.1, 0.7), a.u(-0.2, 0.2), -a.u(0.05, 0.6)
    if chance < b.upright:  # hands before the chest, or hanging
        pitch, reach = a.u(0.7, 1.35), a.u(0.2, 1.2)
        return Stance(
            pitch, (reach - 0.4, reach + a.u(0.2, 0.8), 0.8), folded, 0.25 * swing, a.u(-0.1, 0.4), nod
        )
    chance = a.u(0, 1)
    if chance < b.sitting:
        pitch = a.u(0.4, 0.95)
        return Stance(pitch, (-0.15 * z, 0.1, 0.2), folded, 0.04, 0.3 * pitch, nod)
    if chance > 0.97:  # reared
        return Stance(a.u(0.5, 1.0), (a.u(0.6, 1.2), a.u(-0.5, 0.2), -0.2), hind, 0.3, a.u(-0.2, 0.3), nod)
    if chance > 0.9:  # lying
        return Stance(0.0, (-1.1, 1.45, 1.5), (1.3, -1.4, 1.5), 0.03, rise, nod)
    if chance > 0.75:  # grazing, or sniffing
        return Stance(-a.u(0.0, 0.1), fore, hind, 0.4 * swing, -b.neck_pitch - a.u(0.3, 0.9), -a.u(0.5, 1.2))
    return Stance(a.u(-0.06, 0.06), fore, hind, swing if chance > 0.3 else 0.2 * swing, rise, nod)


def _leg(
    a: Body, b: Build, hip: Vector, side: int, fore: bool, s: Stance, swing: float, lift: float
) -> list[Part]:
    angles = np.array(s.fore if fore else s.hind) + s.swing * swing * np.array([1, 0.9, 0.7])
    angles[1:] -= s.swing * max(lift, 0) * np.array([0.9, 1.1])
    lengths = b.leg_length * np.array([0.42, 0.36, 0.22] if fore else [0.42, 0.36, 0.28])
    out = 0.06 + b.leg_sprawl
    steps = [
        n * mirrored(down(t, out * w), side) for n, t, w in zip(lengths, angles, (1, -0.4, 0), strict=True)
    ]
    joints = path(hip, steps)
    thin = b.leg_thickness * b.ankle_thickness
    upper = b.leg_thickness * (1.05 if fore else 1.3)
    parts = [
        a.link(joints[0], joints[1], (upper * 1.2, upper * 0.9), "body"),
        a.link(joints[1], joints[2], 0.5 * (b.leg_thickness + thin), "legs"),
        a.link(joints[2], joints[3], thin, "legs"),
    ]
    foot = thin * b.foot_size
    place = joints[3] + np.array([0.5 * foot, 0.1 * foot, 0])
    return [*parts, a.blob(place, (1.1 * foot, 0.6 * foot, 0.85 * foot), "feet")]


def _neck(a: Body, b: Build, s: Stance) -> Callable[[Vector, float, float], tuple[Vector, Vector]]:
    """A function from the neck's start and the yaws of neck and head to the neck's spine and the gaze."""
    rise = b.neck_pitch + s.rise + 0.4 * s.pitch
    bow = a.u(-0.1, 0.35)  # upright at its end
    pitches = [rise + bow * (k - 1.5) / 1.5 for k in range(NECK)]

    def neck(start: Vector, middle: float, end: float) -> tuple[Vector, Vector]:
        yaws = [float(y) for y in np.linspace(0.3 * middle, middle, NECK)]
        return curve(start, b.neck_length, pitches, yaws), heading(s.nod, end)

    return neck


def _tail(a: Body, b: Build) -> Callable[[Vector, float, float], list[Part]]:
    """A function from the tail's root, its swing and the body's pitch to its parts."""
    tip = "tip" if a.chance(0.4) else "tail"
    radii = np.maximum(b.chest_height * b.tail_thickness * np.linspace(1, 0.45, TAIL + 1), 0.022)
    thick = max(b.tail_tuft - 0.25, 0) * 0.12
    radii[-1] += thick
    radii[-2] += thick * 0.6

    def tail(root: Vector, swung: float, pitch: float) -> list[Part]:
        droops = b.tail_droop + b.tail_curl * np.linspace(-0.4, 2.2, TAIL) - 0.3 * pitch
        angles = [math.pi + float(x) for x in droops]
        yaws = [swung * (0.4 + 0.3 * k) for k in range(TAIL)]
        return a.chain(curve(root, b.tail_length, angles, yaws), radii, radii, "tail", tip)

    return tail


def _mane(a: Body, b: Build) -> Callable[[Vector, Vector, Vector], list[Part]]:
    """A function from the spines of body and neck and the body's half heights to manes, ruffs and humps."""
    maned, ruffed, humped = b.mane > 0.5, b.ruff > 0.3, b.humps > 0.5
    places = ((0.5, 1.0),) if a.chance(0.5) else ((0.25, 0.8), (0.72, 0.8))
    high, full, tuft = a.u(0.4, 1.0), a.u(1.3, 1.9), a.u(0.02, 0.05)

    def mane(spine: Vector, neck: Vector, tall: Vector) -> list[Part]:
        parts: list[Part] = []
        if maned:
            way = neck[-1] - neck[0]
            way /= np.linalg.norm(way)
            back = np.array([-way[1], abs(way[0]) + 0.05, 0.0])
            radius = 0.6 * b.chest_height * b.nape_thickness
            crest = neck[1:] + back * radius * np.linspace(1.3, 1.15, NECK)[:, None]
            parts += a.chain(crest, radius * high, tuft, "mane")
        if ruffed:
            way = FORWARD * 0.3
            for k, share in ((-1, 0.9), (-3, 1.0)):
                radius = full * max(b.head_radius, 0.6 * b.chest_height) * share
                parts.append(
                    a.blob(neck[k] - way * b.head_radius, (0.8 * radius, radius, 0.9 * radius), "mane")
                )
        if humped:
            for at, size in places:
                k = round(at * (TORSO - 1))
                top = spine[k] + np.array([0, 0.95 * tall[k], 0])
                parts.append(a.blob(top, (0.2 * size, 0.24 * size, 0.13 * size), "body"))
        return parts

    return mane
