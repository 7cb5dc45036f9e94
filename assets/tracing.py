"""Sphere tracing of a distance field, as the reference camera of `ar4d.cameras` sees it (elevation 0)."""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from assets.shapes import jit

RADIUS, FOV_Y = 1.5, math.radians(49.1)  # the reference camera
FAR_AWAY = 9.0
TILE = 8  # pixels, the side of a bundle of rays that sets out together
LIGHT = (0.42, 0.74, 0.53)


def tracer(scene, color):
    """Compiles `trace(phase, size, wanted, samples)`, which gives linear premultiplied light and coverage.

    The picture is [size, size, 4]. Only pixels whose block of `samples` x `samples` is true in `wanted` are
    traced.
    """

    @jit
    def normal(x, y, z, phase):
        e = 1e-3
        a = scene(x + e, y - e, z - e, phase)[0]
        b = scene(x - e, y - e, z + e, phase)[0]
        c = scene(x - e, y + e, z - e, phase)[0]
        d = scene(x + e, y + e, z + e, phase)[0]
        nx, ny, nz = a - b - c + d, -a - b + c + d, -a + b - c + d
        length = max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-9)
        return nx / length, ny / length, nz / length

    @jit
    def set_out(dx, dy, spread, phase):
        """The distance up to which a cone about a ray meets nothing; `spread` is its radius at distance 1."""
        length = math.sqrt(dx * dx + dy * dy + 1)
        dx, dy, dz = dx / length, dy / length, -1 / length
        t = RADIUS - 0.9
        for _ in range(160):
            free = 0.6 * scene(t * dx, t * dy, RADIUS + t * dz, phase)[0] - t * spread
            if free < 0.004:
                return t - t * spread
            t += free
            if t > RADIUS + 0.9:
                break
        return FAR_AWAY

    @jit
    def march(t, dx, dy, dz, phase):
        for _ in range(160):
            hit = scene(t * dx, t * dy, RADIUS + t * dz, phase)
            if hit[0] < 6e-4:
                return t, hit
            t += 0.6 * hit[0]
            if t > RADIUS + 0.9:
                break
        return FAR_AWAY, hit

    @jit
    def shade(t, hit, dx, dy, dz, phase):
        x, y, z = t * dx, t * dy, RADIUS + t * dz
        nx, ny, nz = normal(x, y, z, phase)
        occlusion = 0.0
        for k in range(1, 5):
            step = 0.035 * k
            gap = step - scene(x + step * nx, y + step * ny, z + step * nz, phase)[0]
            occlusion += max(gap, 0.0) / 1.6**k
        ambient = max(1 - 4.5 * occlusion, 0.15)
        light = LIGHT
        lambert = max(nx * light[0] + ny * light[1] + nz * light[2], 0.0)
        half = (light[0] - dx, light[1] - dy, light[2] - dz)
        length = math.sqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2)
        gloss = max((nx * half[0] + ny * half[1] + nz * half[2]) / length, 0.0) ** 40
        sky = 0.5 + 0.5 * ny
        rgb = color(hit[1], hit[2], hit[3], hit[4])
        key = 1.15 * lambert * (0.4 + 0.6 * ambient)
        fill = ambient * (0.28 + 0.25 * sky)
        shine = 0.12 * gloss * ambient
        return rgb[0] * (key + fill) + shine, rgb[1] * (key + fill) + shine, rgb[2] * (key + fill) + shine

    @nb.njit(parallel=True, fastmath=True)
    def trace(phase, size, wanted, samples):
        image = np.zeros((size, size, 4))
        focal = 0.5 * size / math.tan(FOV_Y / 2)
        tiles = (size + TILE - 1) // TILE
        spread = 0.75 * TILE / focal
        starts = np.zeros((tiles, tiles))
        for row in nb.prange(tiles):
            for column in range(tiles):
                dx, dy = ((column + 0.5) * TILE - size / 2) / focal, -((row + 0.5) * TILE - size / 2) / focal
                starts[row, column] = set_out(dx, dy, spread, phase)
        for row in nb.prange(size):
            for column in range(size):
                start = starts[row // TILE, column // TILE]
                if start >= FAR_AWAY or not wanted[row // samples, column // samples]:
                    continue
                dx, dy = (column + 0.5 - size / 2) / focal, -(row + 0.5 - size / 2) / focal
                length = math.sqrt(dx * dx + dy * dy + 1)
                dx, dy, dz = dx / length, dy / length, -1 / length
                t, hit = march(start, dx, dy, dz, phase)
                if t < FAR_AWAY:
                    r, g, b = shade(t, hit, dx, dy, dz, phase)
                    image[row, column] = np.array([r, g, b, 1.0])
        return image

    return trace
