"""Three toys as distance fields: a robot, a fish and a dinosaur."""

from __future__ import annotations

import math

from assets.shapes import bone, ellipsoid, jit, limb, melted, mixed, nearer, round_box, smoothstep, turn

# The robot hops twice a loop, squashes when it lands, looks around and waves.


@jit
def robot(x, y, z, phase):
    x, y, z = x / 0.84, y / 0.84 + 0.1, z / 0.84
    lift = abs(math.sin(phase))
    squash = 1 + 0.04 * lift - 0.13 * math.exp(-((lift / 0.3) ** 2))
    y = (y + 0.56 - 0.11 * lift) / squash - 0.56
    x, z = x * math.sqrt(squash), z * math.sqrt(squash)
    x, z = turn(x, z, -0.3 * math.sin(phase) - 0.25)
    hit = (round_box(x, y + 0.06, z, 0.2, 0.19, 0.15, 0.06), 0, x, y + 0.06, z)
    hit = nearer(hit, (limb(x, y - 0.22, z, 0.1, 0.06, 0.06), 1, x, y, z))
    hx, hz = turn(x, z, 0.3 * math.sin(2 * phase))
    hx, hy = turn(hx, y - 0.2, 0.12 * math.sin(phase))
    hy -= 0.14
    hit = nearer(hit, (round_box(hx, hy, hz, 0.2, 0.14, 0.15, 0.07), 2, hx, hy, hz))
    ear = math.sqrt(hy * hy + hz * hz) - 0.06
    hit = nearer(hit, (max(ear, abs(hx) - 0.235), 3, hx, hy, hz))
    hit = nearer(hit, (limb(hx, hy - 0.26, hz, 0.14, 0.014, 0.018), 1, hx, hy, hz))
    bob = math.sqrt(hx * hx + (hy - 0.27) ** 2 + hz * hz) - 0.048
    hit = nearer(hit, (bob, 3, hx, hy - 0.27, hz))
    for side in (-1.0, 1.0):
        swing = 0.35 + 0.75 * lift + (0.5 + 0.4 * math.sin(2 * phase) if side > 0 else 0.0)
        ax, ay = turn(side * x - 0.22, y - 0.06, -swing)
        hit = nearer(hit, (limb(ax, ay, z, 0.2, 0.055, 0.045), 1, ax, ay, z))
        hit = nearer(hit, (ellipsoid(ax, ay + 0.25, z, 0.075, 0.08, 0.075), 3, ax, ay, z))
        lx, ly = side * x - 0.1, y + 0.22
        ly, lz = turn(ly, z, 0.35 * lift * side * math.cos(phase))
        hit = nearer(hit, (limb(lx, ly, lz, 0.24, 0.06, 0.06), 1, lx, ly, lz))
        foot = round_box(lx, ly + 0.28, lz - 0.03, 0.085, 0.05, 0.12, 0.04)
        hit = nearer(hit, (foot, 4, lx, ly, lz))
    return 0.84 * hit[0], hit[1], hit[2], hit[3], hit[4]


@jit
def robot_color(part, x, y, z):
    teal, coral, steel, sun, navy = (
        (0.05, 0.42, 0.45), (0.86, 0.16, 0.1), (0.32, 0.36, 0.4), (0.96, 0.55, 0.04), (0.02, 0.04, 0.09)
    )  # fmt: skip
    if part == 0:
        if z > 0.05 and abs(x) < 0.13 and abs(y) < 0.11:
            button = min(abs(x + 0.07), abs(x), abs(x - 0.07))
            if button**2 + (y + 0.05) ** 2 < 0.0006:
                return coral if x < -0.03 else (sun if x < 0.03 else (0.2, 0.7, 0.15))
            wave = 0.03 + 0.03 * math.sin(60 * x)
            return (0.3, 0.95, 0.6) if abs(y - wave) < 0.011 and abs(x) < 0.11 else navy
        stripe = abs(abs(y) - 0.14) < 0.012
        return (0.9, 0.78, 0.5) if stripe else teal
    if part == 1:
        return mixed(steel, (0.08, 0.09, 0.1), 0.5 + 0.5 * math.sin(150 * y))
    if part == 2:
        if z > 0.06 and (abs(x) / 0.155) ** 4 + (abs(y) / 0.1) ** 4 < 1:
            eye = math.sqrt((abs(x) - 0.07) ** 2 + (y - 0.02) ** 2)
            smile = abs(math.sqrt(x * x + (y - 0.02) ** 2) - 0.075)
            if eye < 0.032 or (smile < 0.01 and y < -0.03):
                return (0.2, 0.9, 0.95)
            return navy
        return coral
    return sun if part == 3 else mixed(teal, navy, 0.5)


# The fish swims on the spot: a wave runs down its body, the fins beat.


@jit
def fish(x, y, z, phase):
    x, y, z = x / 0.9 - 0.02, y / 0.9 - 0.025 * math.sin(phase), z / 0.9
    x, z = turn(x, z, -0.5 + 0.2 * math.sin(phase))
    x, y = turn(x, y, 0.08 * math.sin(phase + 1))
    sway = 0.02 + 0.13 * smoothstep(0.2, -0.75, x)
    z -= sway * math.sin(3.0 * x + 2 * phase)
    body = ellipsoid(x - 0.1, y, z, 0.42, 0.27, 0.16)
    hit = (body, 0, x, y, z)
    hit = melted(hit, (ellipsoid(x + 0.28, y, z, 0.2, 0.1, 0.055), 0, x, y, z), 0.1)
    spread = 0.06 + 0.55 * max(-x - 0.38, 0.0)
    notch = -0.66 - 0.35 * abs(y) + 0.02 * math.cos(60 * y)
    tail = max(abs(y) - spread, x + 0.34, notch - x + 0.02, abs(z) - 0.012)
    hit = melted(hit, (tail, 1, x, y, z), 0.03)
    crest = 0.4 - 0.9 * (x - 0.05) ** 2 + 0.008 * math.cos(70 * x)
    dorsal = max(y - crest, -y, abs(x - 0.02) - 0.28, abs(z) - 0.012)
    hit = melted(hit, (dorsal, 1, x, y, z), 0.04)
    keel = max(-y - 0.33 + 1.6 * (x + 0.08) ** 2, y, abs(x + 0.08) - 0.16, abs(z) - 0.011)
    hit = melted(hit, (keel, 1, x, y, z), 0.04)
    side = abs(z)
    fx, fz = turn(x - 0.16, side - 0.13, 0.75 + 0.35 * math.sin(2 * phase))
    fx, fy = turn(fx, y + 0.07, 0.5)
    hit = nearer(hit, (ellipsoid(fx + 0.12, fy, fz, 0.14, 0.075, 0.014), 1, fx, fy, fz))
    hit = nearer(hit, (math.sqrt((x - 0.36) ** 2 + (y - 0.06) ** 2 + (side - 0.1) ** 2) - 0.052, 2, x, y, z))
    lip = math.sqrt((math.sqrt((x - 0.505) ** 2 * 4 + (y + 0.02) ** 2) - 0.035) ** 2 + z * z * 0.3) - 0.02
    hit = nearer(hit, (lip, 3, x, y, z))
    return 0.9 * hit[0], hit[1], hit[2], hit[3], hit[4]


@jit
def fish_color(part, x, y, z):
    orange, ink, cream = (0.95, 0.27, 0.02), (0.015, 0.03, 0.12), (0.92, 0.72, 0.42)
    if part == 0:
        color = mixed(orange, (0.98, 0.55, 0.06), smoothstep(-0.05, -0.22, y))
        scale = abs(math.sin(34 * x + 17 * y)) * abs(math.sin(34 * x - 17 * y))
        color = mixed(color, (0.75, 0.1, 0.01), 0.55 * smoothstep(0.5, 0.05, scale))
        for centre in (0.24, -0.02, -0.27):
            band = abs(x - centre - 0.05 * math.cos(9 * y))
            color = mixed(color, ink, smoothstep(0.062, 0.05, band))
            color = mixed(color, cream, smoothstep(0.046, 0.036, band))
        return color
    if part == 1:
        rays = 0.5 + 0.5 * math.sin(90 * (y + 0.6 * x))
        edge = smoothstep(0.56, 0.62, -x) + smoothstep(0.33, 0.37, y)
        return mixed(mixed(orange, (0.98, 0.62, 0.1), rays), ink, min(edge, 1.0))
    if part == 2:
        pupil = math.sqrt((x - 0.375) ** 2 + (y - 0.065) ** 2)
        if (x - 0.362) ** 2 + (y - 0.085) ** 2 < 0.00012:
            return 1.0, 1.0, 1.0
        return (0.01, 0.01, 0.015) if pupil < 0.031 else (0.95, 0.8, 0.2)
    return 0.6, 0.12, 0.08


# The dinosaur walks on the spot: diagonal legs together, tail and head follow.


@jit
def dinosaur(x, y, z, phase):
    x, y, z = x / 0.9 - 0.05, y / 0.9 + 0.07, z / 0.9
    x, z = turn(x, z, -0.45 + 0.15 * math.sin(phase))
    y -= 0.018 * math.cos(2 * phase)
    z -= 0.09 * math.sin(phase - 3 * x) * smoothstep(-0.2, -0.65, x)
    y -= 0.05 * math.sin(2 * phase - 3 * x) * smoothstep(-0.2, -0.65, x)
    nod = 0.03 * math.sin(2 * phase + 0.6)
    hit = (ellipsoid(x, y, z, 0.29, 0.2, 0.19), 0, x, y, z)
    hit = melted(hit, (bone(x, y, z, -0.18, 0.0, -0.45, -0.03, 0.15, 0.07), 0, x, y, z), 0.1)
    hit = melted(hit, (bone(x, y, z, -0.42, -0.03, -0.66, 0.09, 0.075, 0.02), 0, x, y, z), 0.08)
    hit = melted(hit, (bone(x, y, z, 0.17, 0.06, 0.31 + nod, 0.36, 0.13, 0.085), 0, x, y, z), 0.12)
    hx, hy = turn(x - 0.34 - nod, y - 0.43, -2.5 * nod)
    hz = z - 0.03 * math.sin(phase)
    hit = melted(hit, (ellipsoid(hx, hy, hz, 0.15, 0.12, 0.125), 3, hx, hy, hz), 0.07)
    hit = melted(hit, (ellipsoid(hx - 0.11, hy + 0.03, hz, 0.11, 0.075, 0.095), 3, hx, hy, hz), 0.05)
    eye = math.sqrt((hx - 0.045) ** 2 + (hy - 0.06) ** 2 + (abs(hz) - 0.085) ** 2) - 0.04
    hit = nearer(hit, (eye, 2, hx, hy, abs(hz)))
    for k in range(8):
        sx = 0.24 - 0.105 * k + (0.06 + nod if k == 0 else 0.0)
        sy = (0.29, 0.21, 0.2, 0.175, 0.14, 0.075, 0.05, 0.075)[k]
        size = (0.05, 0.065, 0.08, 0.085, 0.08, 0.068, 0.056, 0.045)[k]
        plate = ellipsoid(x - sx + (0.05 if k == 0 else 0.0), y - sy, z, 0.75 * size, size, 0.022)
        hit = nearer(hit, (0.7 * plate, 1, x - sx, (y - sy) / size, z))
    for corner in range(4):
        fore, side = (1.0 if corner < 2 else -1.0), (1.0 if corner % 2 == 0 else -1.0)
        stride = phase + (0.0 if fore * side > 0 else math.pi)
        lx, ly = turn(x - 0.17 * fore, y + 0.06, 0.42 * math.sin(stride))
        ly -= 0.05 * max(math.cos(stride), 0.0)
        lz = z - 0.12 * side
        hit = melted(hit, (limb(lx, ly, lz, 0.24, 0.085, 0.06), 0, x, y, z), 0.05)
        foot = ellipsoid(lx - 0.025, ly + 0.28, lz, 0.09, 0.045, 0.07)
        hit = melted(hit, (max(foot, -ly - 0.315), 4, lx, ly, lz), 0.03)
    return 0.9 * hit[0], hit[1], hit[2], hit[3], hit[4]


@jit
def dinosaur_color(part, x, y, z):
    green, lime, cream, plum = (0.1, 0.42, 0.12), (0.4, 0.68, 0.1), (0.86, 0.72, 0.36), (0.5, 0.06, 0.3)
    if part == 0:
        color = mixed(green, lime, smoothstep(0.25, -0.1, y + 0.03 * math.sin(20 * x)))
        color = mixed(color, cream, smoothstep(-0.12, -0.19, y) * smoothstep(0.14, 0.08, abs(z)))
        u, v = 9.0 * x + 0.5 * math.sin(7 * y), 9.0 * y + 4 * abs(z)
        spot = math.sin(3.1 * u) * math.sin(3.1 * v)
        return mixed(color, (0.03, 0.2, 0.16), smoothstep(0.35, 0.5, spot) * smoothstep(-0.1, 0.0, y))
    if part == 1:
        return mixed((0.96, 0.4, 0.03), plum, smoothstep(0.2, 0.9, y))
    if part == 2:
        if (x - 0.053) ** 2 + (y - 0.075) ** 2 < 0.00007:
            return 1.0, 1.0, 1.0
        pupil = (x - 0.06) ** 2 + (y - 0.062) ** 2
        return (0.01, 0.01, 0.02) if pupil < 0.0006 else (0.97, 0.86, 0.3)
    if part == 3:
        nostril = (x - 0.2) ** 2 + (y - 0.0) ** 2 + (abs(z) - 0.04) ** 2
        mouth = abs(y + 0.045 - 1.2 * (x - 0.12) ** 2) < 0.008 and x > 0.04
        if nostril < 0.0003 or mouth:
            return 0.02, 0.08, 0.05
        return mixed(lime, green, smoothstep(-0.02, 0.09, y))
    claw = math.sin(70 * z) > 0.2 and x > 0.06
    return (0.8, 0.55, 0.2) if claw else (0.07, 0.3, 0.1)
