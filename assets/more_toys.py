"""Five more subjects as distance fields: a mug, a toy car, a bird, an octopus and a plant in its pot."""

from __future__ import annotations

import math

from assets.shapes import bone, ellipsoid, jit, limb, melted, mixed, nearer, round_box, smoothstep, turn

# The mug turns to and fro about its axis, as on a potter's wheel.


@jit
def mug(x, y, z, phase):
    x, z = turn(x, z, 0.7 * math.sin(phase) + 0.35)
    y += 0.14
    r = math.sqrt(x * x + z * z)
    wall = 0.33 - 0.03 * smoothstep(-0.1, -0.36, y)
    outside = max(r - wall, abs(y) - 0.36)
    cavity = max(r - wall + 0.035, -0.31 - y)
    hit = (0.8 * max(outside, -cavity) - 0.008, 0, x, y, z)
    hit = nearer(hit, (max(r - wall + 0.03, abs(y - 0.2) - 0.015), 2, x, y, z))
    ring = math.sqrt((x - 0.34) ** 2 + 0.8 * y * y) - 0.18
    handle = max(math.sqrt(ring * ring + 0.6 * z * z) - 0.04, wall - 0.02 - r)
    return melted(hit, (0.8 * handle, 1, x, y, z), 0.03)


@jit
def mug_color(part, x, y, z):
    glaze, cobalt, clay = (0.86, 0.82, 0.7), (0.02, 0.08, 0.4), (0.42, 0.14, 0.06)
    if part == 2:
        foam = math.sin(31 * x + 9 * math.sin(17 * z)) * math.sin(29 * z)
        return mixed((0.1, 0.035, 0.012), (0.5, 0.28, 0.12), smoothstep(0.5, 0.8, foam))
    angle = math.atan2(z, x)
    if part == 1:
        return mixed(clay, cobalt, smoothstep(0.2, 0.35, math.sin(40 * y)))
    if y < -0.24 or y > 0.31:
        return clay
    petal = 0.085 * (1 + 0.45 * math.cos(5 * math.atan2(y + 0.02, 0.33 * math.sin(3 * angle))))
    from_flower = math.sqrt((0.22 * math.sin(1.5 * angle)) ** 2 * 2 + (y + 0.02) ** 2)
    color = mixed(glaze, cobalt, smoothstep(0.008, 0.0, from_flower - petal))
    color = mixed(color, (0.75, 0.3, 0.02), smoothstep(0.006, 0.0, from_flower - 0.03))
    return mixed(
        color, cobalt, smoothstep(0.012, 0.006, abs(abs(y - 0.03) - 0.2 - 0.012 * math.sin(14 * angle)))
    )


# The toy car shakes on its springs while its wheels turn.


@jit
def car(x, y, z, phase):
    x, z = turn(x, z, 0.55 + 0.25 * math.sin(phase))
    y += 0.2
    bx, by = turn(x, y - 0.012 * math.sin(4 * phase), 0.03 * math.sin(2 * phase))
    hit = (round_box(bx, by, z, 0.5, 0.12, 0.22, 0.08), 0, bx, by, z)
    hit = melted(hit, (round_box(bx + 0.06, by - 0.17, z, 0.27, 0.13, 0.19, 0.1), 1, bx, by, z), 0.05)
    hit = nearer(hit, (round_box(bx - 0.48, by + 0.06, z, 0.05, 0.035, 0.24, 0.03), 3, bx, by, z))
    hit = nearer(hit, (round_box(bx + 0.48, by + 0.06, z, 0.05, 0.035, 0.24, 0.03), 3, bx, by, z))
    lamp = ellipsoid(bx - 0.49, by - 0.02, abs(z) - 0.13, 0.035, 0.045, 0.045)
    hit = nearer(hit, (lamp, 4, bx, by, z))
    for corner in range(4):
        wx = x - (0.29 if corner < 2 else -0.29)
        wz = abs(z) - 0.22
        wx, wy = turn(wx, y + 0.11, 2 * phase)
        tyre = max(math.sqrt(wx * wx + wy * wy) - 0.13, abs(wz) - 0.05) - 0.008
        hit = nearer(hit, (tyre, 2, wx, wy, wz))
    return hit


@jit
def car_color(part, x, y, z):
    red, cream, glass, steel = (0.7, 0.03, 0.02), (0.88, 0.74, 0.45), (0.03, 0.07, 0.12), (0.45, 0.47, 0.5)
    if part == 0:
        if abs(x - 0.3) < 0.11 and abs(z) > 0.2:
            return cream if (x - 0.3) ** 2 + y * y < 0.007 else red
        return cream if abs(abs(z) - 0.05) < 0.02 else red
    if part == 1:
        pane = y > 0.1 and y < 0.25
        post = abs(x + 0.06) < 0.02 or abs(abs(x + 0.06) - 0.2) < 0.02
        return glass if pane and not (post and abs(z) > 0.15) else red
    if part == 2:
        r = math.sqrt(x * x + y * y)
        if r < 0.075:
            spoke = abs(math.sin(2.5 * math.atan2(y, x)))
            return steel if spoke > 0.35 or r < 0.02 else (0.05, 0.05, 0.06)
        return mixed((0.02, 0.02, 0.022), (0.06, 0.06, 0.065), 0.5 + 0.5 * math.sin(24 * math.atan2(y, x)))
    return steel if part == 3 else (0.95, 0.85, 0.4)


# The bird beats its wings on the spot and rises with each beat.


@jit
def bird(x, y, z, phase):
    x, y, z = x / 0.95 + 0.02, y / 0.95 - 0.03 * math.sin(2 * phase + 0.8), z / 0.95
    x, z = turn(x, z, 0.75 + 0.12 * math.sin(phase))
    x, y = turn(x, y, -0.2)
    hit = (ellipsoid(x, y, z, 0.3, 0.15, 0.14), 0, x, y, z)
    hit = melted(hit, (ellipsoid(x - 0.3, y - 0.1, z, 0.13, 0.12, 0.11), 1, x - 0.3, y - 0.1, z), 0.08)
    beak = bone(x, y, z, 0.4, 0.1, 0.5, 0.06, 0.04, 0.01)
    hit = nearer(hit, (beak, 3, x, y, z))
    eye = math.sqrt((x - 0.36) ** 2 + (y - 0.13) ** 2 + (abs(z) - 0.085) ** 2) - 0.026
    hit = nearer(hit, (eye, 4, x - 0.36, y - 0.13, abs(z)))
    fan = max(abs(z) - 0.03 - 0.35 * max(-x - 0.25, 0.0), abs(y - 0.02 + 0.1 * x) - 0.014, x + 0.2, -0.55 - x)
    hit = melted(hit, (0.8 * fan, 2, x, z, y), 0.05)
    wy, wz = turn(y - 0.07, abs(z) - 0.09, 0.25 + 0.75 * math.sin(2 * phase))
    tip = 0.3 * max(wz - 0.22, 0.0) * math.sin(2 * phase - 0.9)
    wing = ellipsoid(x + 0.06 + 0.3 * max(wz - 0.2, 0.0), wy - tip, wz - 0.24, 0.17, 0.018, 0.27)
    return melted(hit, (0.6 * wing, 2, x, wz, wy), 0.03)


@jit
def bird_color(part, x, y, z):
    blue, sky, white, ink = (0.02, 0.1, 0.42), (0.1, 0.42, 0.75), (0.9, 0.88, 0.82), (0.01, 0.012, 0.03)
    if part == 0:
        belly = mixed((0.85, 0.32, 0.05), white, smoothstep(-0.06, -0.14, y))
        return mixed(belly, blue, smoothstep(-0.02, 0.03, y + 0.015 * math.sin(40 * x)))
    if part == 1:
        cap = mixed(white, blue, smoothstep(0.0, 0.04, y))
        return mixed(cap, ink, smoothstep(0.025, 0.015, abs(y - 0.03 - 0.2 * x)))
    if part == 2:
        bars = smoothstep(0.1, 0.5, math.sin(34 * y + 6 * x))
        return mixed(mixed(blue, sky, bars), ink, smoothstep(0.34, 0.42, y) + smoothstep(-0.45, -0.52, x))
    if part == 4:
        return white if (x - 0.008) ** 2 + (y - 0.01) ** 2 < 0.00006 else ink
    return 0.9, 0.5, 0.03


# The octopus breathes, and a wave runs through its eight arms.


@jit
def octopus(x, y, z, phase):
    x, y, z = x / 0.92, y / 0.92 + 0.02 * math.sin(phase), z / 0.92
    x, z = turn(x, z, 0.3 * math.sin(phase))
    breath = 1 + 0.05 * math.sin(2 * phase)
    head = ellipsoid(x / breath, (y - 0.24) * breath, z / breath, 0.24, 0.27, 0.22)
    hit = (head, 0, x, y, z)
    hit = melted(hit, (ellipsoid(x, y + 0.02, z, 0.2, 0.12, 0.19), 0, x, y, z), 0.12)
    for arm in range(8):
        angle = (arm + 0.5) * math.pi / 4
        u, w = x * math.cos(angle) + z * math.sin(angle), z * math.cos(angle) - x * math.sin(angle)
        lag = phase + 0.9 * arm
        w -= 0.09 * math.sin(lag) * smoothstep(0.15, 0.5, u)
        ky, ty = -0.2 + 0.05 * math.sin(lag), -0.34 + 0.12 * math.sin(lag - 1.0)
        upper = bone(u, y, w, 0.1, -0.08, 0.32, ky, 0.085, 0.06)
        lower = bone(u, y, w, 0.32, ky, 0.52, ty, 0.06, 0.022)
        hit = melted(hit, (0.8 * min(upper, lower), 1, u, y + 0.1 + 0.35 * u, w), 0.06)
    side = abs(x)
    eye = math.sqrt((side - 0.11) ** 2 + (y - 0.17) ** 2 + (z - 0.185) ** 2) - 0.055
    return nearer(hit, (eye, 2, side - 0.11, y - 0.17, z))


@jit
def octopus_color(part, x, y, z):
    violet, rose, pale = (0.28, 0.03, 0.32), (0.72, 0.12, 0.3), (0.9, 0.6, 0.55)
    if part == 0:
        spot = math.sin(19 * x + 3 * math.sin(11 * y)) * math.sin(17 * y) * math.sin(18 * z + 1)
        return mixed(mixed(violet, rose, smoothstep(-0.1, 0.45, y)), pale, 0.7 * smoothstep(0.3, 0.45, spot))
    if part == 1:
        sucker = smoothstep(-0.02, -0.04, y) * smoothstep(0.2, 0.6, math.sin(45 * x))
        return mixed(
            mixed(violet, rose, smoothstep(0.55, 0.1, x)), pale, max(sucker, smoothstep(0.0, -0.05, y) * 0.5)
        )
    if y * y < 0.0002 and abs(x) < 0.03:
        return 0.01, 0.01, 0.02
    return 0.95, 0.82, 0.3


# The plant sways in its pot, and its flower opens and closes.


@jit
def plant(x, y, z, phase):
    y += 0.02
    r = math.sqrt(x * x + z * z)
    pot = max(r - 0.2 - 0.22 * (y + 0.5), abs(y + 0.38) - 0.14)
    hit = (0.85 * pot - 0.006, 0, x, y, z)
    rim = max(r - 0.275, abs(y + 0.23) - 0.035)
    hit = nearer(hit, (0.9 * rim - 0.006, 0, x, y, z))
    hit = nearer(hit, (max(r - 0.24, abs(y + 0.2) - 0.02), 1, x, y, z))
    up = smoothstep(-0.2, 0.5, y)
    sx, sz = x - 0.12 * up * math.sin(phase), z - 0.07 * up * math.cos(phase)
    hit = nearer(hit, (limb(sx, y - 0.3, sz, 0.52, 0.022, 0.03), 2, sx, y, sz))
    for k in range(4):
        lx, lz = turn(sx, sz, 1.7 * k + 0.4)
        lx, ly = turn(lx - 0.02, y + 0.14 - 0.09 * k, -0.5 - 0.15 * math.sin(phase + k))
        leaf = ellipsoid(lx - 0.16, ly, lz, 0.17, 0.014, 0.075)
        hit = nearer(hit, (0.6 * leaf, 3, lx, lz, ly))
    fx, fy = turn(sx, y - 0.34, 0.3 * math.sin(phase))
    fy, fz = turn(fy, sz, 0.5)
    opening = 0.35 + 0.3 * math.sin(phase)
    for k in range(7):
        px, pz = turn(fx, fz, 2 * math.pi * k / 7)
        px, py = turn(px - 0.05, fy, opening - 0.75)
        petal = ellipsoid(px - 0.1, py, pz, 0.12, 0.02, 0.062)
        hit = nearer(hit, (0.6 * petal, 4, px, pz, py))
    return nearer(hit, (ellipsoid(fx, fy - 0.01, fz, 0.075, 0.055, 0.075), 5, fx, fy, fz))


@jit
def plant_color(part, x, y, z):
    terracotta, soil, leaf = (0.55, 0.17, 0.06), (0.05, 0.028, 0.015), (0.05, 0.3, 0.05)
    if part == 0:
        band = abs(y + 0.4 + 0.025 * math.sin(6 * math.atan2(z, x)))
        return mixed(terracotta, (0.85, 0.7, 0.45), smoothstep(0.022, 0.014, band))
    if part == 1:
        return mixed(soil, (0.16, 0.09, 0.05), smoothstep(0.2, 0.5, math.sin(60 * x) * math.sin(70 * z)))
    if part == 2:
        return 0.1, 0.28, 0.05
    if part == 3:
        vein = min(abs(y), abs(math.sin(40 * (x - 1.5 * abs(y)))) * 0.05)
        return mixed(leaf, (0.35, 0.6, 0.15), smoothstep(0.01, 0.004, vein))
    if part == 4:
        return mixed((0.85, 0.1, 0.25), (0.98, 0.65, 0.1), smoothstep(0.1, 0.02, x))
    return mixed(
        (0.35, 0.16, 0.02), (0.7, 0.4, 0.03), smoothstep(0.0, 0.5, math.sin(110 * x) * math.sin(110 * z))
    )
