"""Distance fields of simple shapes, compiled by Numba, from which the example clips are modelled.

A `hit` is (distance, part, x, y, z): the point in the coordinates of the part that it lies on, so that
textures stick to what moves.
"""

from __future__ import annotations

import math

import numba as nb

jit = nb.njit(cache=False, fastmath=True, error_model="numpy")


@jit
def turn(a, b, angle):
    c, s = math.cos(angle), math.sin(angle)
    return c * a - s * b, s * a + c * b


@jit
def ellipsoid(x, y, z, rx, ry, rz):
    k0 = math.sqrt((x / rx) ** 2 + (y / ry) ** 2 + (z / rz) ** 2)
    k1 = math.sqrt((x / rx**2) ** 2 + (y / ry**2) ** 2 + (z / rz**2) ** 2)
    return k0 * (k0 - 1) / max(k1, 1e-6)


@jit
def round_box(x, y, z, hx, hy, hz, r):
    qx, qy, qz = abs(x) - hx + r, abs(y) - hy + r, abs(z) - hz + r
    outside = math.sqrt(max(qx, 0.0) ** 2 + max(qy, 0.0) ** 2 + max(qz, 0.0) ** 2)
    return outside + min(max(qx, qy, qz), 0.0) - r


@jit
def limb(x, y, z, length, r0, r1):
    """A tapered capsule from the origin down the y axis."""
    along = min(max(-y / length, 0.0), 1.0)
    return math.sqrt(x * x + (y + along * length) ** 2 + z * z) - (r0 + (r1 - r0) * along)


@jit
def bone(x, y, z, ax, ay, bx, by, r0, r1):
    """A tapered capsule from (ax, ay) to (bx, by) in the plane z = 0."""
    ux, uy = bx - ax, by - ay
    along = min(max(((x - ax) * ux + (y - ay) * uy) / (ux * ux + uy * uy), 0.0), 1.0)
    gap = (x - ax - along * ux) ** 2 + (y - ay - along * uy) ** 2 + z * z
    return math.sqrt(gap) - (r0 + (r1 - r0) * along)


@jit
def nearer(a, b):
    return a if a[0] < b[0] else b


@jit
def melted(a, b, k):
    """The union of two hits with a soft seam of width k."""
    h = max(k - abs(a[0] - b[0]), 0.0) / k
    near = nearer(a, b)
    return near[0] - h * h * k / 4, near[1], near[2], near[3], near[4]


@jit
def smoothstep(low, high, x):
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@jit
def mixed(a, b, w):
    return a[0] + (b[0] - a[0]) * w, a[1] + (b[1] - a[1]) * w, a[2] + (b[2] - a[2]) * w
