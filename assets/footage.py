"""What makes a rendered subject look filmed: a table under it, a wall behind it, and a cheap camera.

The camera is held by hand (it trembles by a pixel or two), its shutter is open for half a frame, its
sensor is noisy, its exposure drifts, and its file is compressed strongly.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from assets.shapes import jit, mixed, smoothstep
from assets.tracing import FOV_Y, LIGHT, RADIUS

WALL = -1.4  # z of the wall
SHADOW_STEPS = 48
TREMBLE = 1.3  # pixels, standard deviation of the hand's position
NOISE = 0.012  # standard deviation of the sensor's noise, of full scale
DRIFT = 0.02  # relative change of the exposure
BLUR = 0.7  # pixels, standard deviation of the lens


@jit
def _grain(x, z):
    """Wood: boards of their own shade each, with rings drawn out along x."""
    board = math.floor(z / 0.23)
    shade = 0.5 + 0.5 * math.sin(12.9898 * board + 4.1)
    along, across = x + 1.7 * board, z - 0.23 * board
    ring = math.sin(70 * across + 5 * math.sin(2.3 * along + 3 * shade) + 1.5 * math.sin(9 * along))
    color = mixed((0.3, 0.15, 0.06), (0.42, 0.25, 0.12), 0.5 + 0.5 * ring)
    color = mixed(color, (0.2, 0.1, 0.05), 0.5 * shade)
    gap = smoothstep(0.012, 0.004, min(across, 0.23 - across))
    return mixed(color, (0.06, 0.03, 0.02), gap)


@jit
def _weave(x, z):
    """A carpet: a woven ground with a border and lozenges."""
    thread = 0.85 + 0.15 * math.sin(150 * x) * math.sin(150 * z)
    lozenge = abs(math.sin(4.2 * x)) + abs(math.sin(4.2 * z))
    color = mixed((0.06, 0.13, 0.2), (0.32, 0.3, 0.24), smoothstep(0.85, 0.9, lozenge))
    color = mixed(color, (0.2, 0.2, 0.12), smoothstep(0.3, 0.25, lozenge))
    return color[0] * thread, color[1] * thread, color[2] * thread


@jit
def _wall(x, y):
    """A painted wall, out of focus: broad patches of light."""
    patch = 0.5 + 0.5 * math.sin(1.7 * x + 0.8) * math.sin(1.3 * y + 0.4)
    return mixed((0.34, 0.36, 0.38), (0.5, 0.5, 0.47), patch)


def surroundings(scene, floor: float, woven: bool):
    """Compiles `trace(phase, size) -> [size, size, 3]`: the linear light of the table and the wall.

    Args:
        scene: the subject's distance field, which casts a shadow.
        floor: height of the table.
        woven: a carpet; otherwise wood.
    """
    pattern = _weave if woven else _grain

    @jit
    def lit(x, z, phase):
        """How much light reaches a point of the table: a soft shadow and the contact's darkness."""
        shadow, t = 1.0, 0.02
        for _ in range(SHADOW_STEPS):
            gap = scene(x + t * LIGHT[0], floor + t * LIGHT[1], z + t * LIGHT[2], phase)[0]
            shadow = min(shadow, max(9 * gap / t, 0.0))
            t += max(0.6 * gap, 0.012)
            if t > 1.4 or shadow < 1e-3:
                break
        contact = min(max(scene(x, floor + 0.03, z, phase)[0], 0.0) / 0.12, 1.0)
        return (0.45 + 0.55 * shadow) * (0.6 + 0.4 * contact)

    @nb.njit(parallel=True, fastmath=True)
    def trace(phase, size):
        image = np.zeros((size, size, 3))
        focal = 0.5 * size / math.tan(FOV_Y / 2)
        for row in nb.prange(size):
            for column in range(size):
                dx, dy = (column + 0.5 - size / 2) / focal, -(row + 0.5 - size / 2) / focal
                far = RADIUS - WALL
                if dy * far > floor:
                    color = _wall(dx * far, dy * far)
                else:
                    t = floor / dy
                    x, z = t * dx, RADIUS - t
                    color, light = pattern(x, z), lit(x, z, phase)
                    color = color[0] * light, color[1] * light, color[2] * light
                image[row, column] = np.array([color[0], color[1], color[2]])
        return image

    return trace


def filmed(pictures: np.ndarray, fps: float, seed: int) -> np.ndarray:
    """The pictures as a hand-held camera takes them.

    Args:
        pictures: [F, H, W, 3] in [0, 1], display values.

    Returns:
        [F, H, W, 3] in [0, 1].
    """
    from scipy.ndimage import gaussian_filter, gaussian_filter1d, shift

    random = np.random.default_rng(seed)
    count = len(pictures)
    tremble = gaussian_filter1d(random.normal(size=(count, 2)), 0.12 * fps, axis=0, mode="wrap")
    tremble *= TREMBLE / tremble.std()
    exposure = 1 + DRIFT * np.sin(2 * np.pi * (np.arange(count) / count + 0.2))
    taken = []
    for picture, offset, gain in zip(pictures, tremble, exposure, strict=True):
        moved = shift(picture, (*offset, 0), order=1, mode="nearest")
        light = gaussian_filter(moved, (BLUR, BLUR, 0)) * gain
        noise = random.normal(scale=NOISE, size=light.shape) * np.sqrt(0.3 + light)
        taken.append(np.clip(light + noise, 0, 1))
    return np.stack(taken)
