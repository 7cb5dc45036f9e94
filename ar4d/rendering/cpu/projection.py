"""EWA projection of 3D Gaussians to splats, which are 2D Gaussians in an image.

A Gaussian with mean μ and covariance R S Sᵀ Rᵀ is seen by a camera (W, t) at p = W μ + t. With J
the Jacobian of the pinhole projection at p, its splat has the covariance

    Σ' = V Vᵀ + 0.3 I,   V = U M,   U = J W  [2, 3],   M = R S  [3, 3]

As in 3DGS and gsplat, x/z and y/z are clamped inside J to 1.3 times the image's half width, which
keeps Gaussians beside the image from growing without bound.

A splat's exponent at a distance (dx, dy) from its mean, -½ dᵀ Σ'⁻¹ d, is kept as a sum of squares:

    -½ (a (dx - m dy)² + b dy²),   1/b = Σ'_yy,  m = Σ'_xy / Σ'_yy,  1/a = Σ'_xx - Σ'_xy² / Σ'_yy

This is the same number as with the conic (A, B, C) = (a, -a m, a m² + b) of 3DGS, but it loses no
digits where a splat is long and thin, and it is never positive.

Vectors are tuples here: a row of an array would be an object whose references are counted.
"""

from __future__ import annotations

import numpy as np

from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import take
from ar4d.kernels.vectors import row3, row4
from ar4d.rendering.cpu.layout import (
    ALPHA_MIN,
    BLUR,
    CHUNK,
    COLOR,
    DEPTH,
    HALF,
    HEIGHT,
    MEAN,
    NEAR,
    ONE,
    OPACITY,
    SHAPE,
    TILE,
    TWO,
    WIDTH,
    ZERO,
)

CLAMP = np.float32(0.15)  # of the image's size, beyond its border
DET_MAX = np.float32(1e37)  # beyond it a splat's shape overflows


@part
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@part
def combined(weights, vectors):
    """Σ w_k v_k of three vectors."""
    (p, q, r), (a, b, c) = weights, vectors
    return (
        p * a[0] + q * b[0] + r * c[0],
        p * a[1] + q * b[1] + r * c[1],
        p * a[2] + q * b[2] + r * c[2],
    )


@part
def camera_of(viewmats, Ks, c):
    """The rows of W, t, and (fx, fy, cx, cy)."""
    return (
        (
            (viewmats[c, 0, 0], viewmats[c, 0, 1], viewmats[c, 0, 2]),
            (viewmats[c, 1, 0], viewmats[c, 1, 1], viewmats[c, 1, 2]),
            (viewmats[c, 2, 0], viewmats[c, 2, 1], viewmats[c, 2, 2]),
        ),
        (viewmats[c, 0, 3], viewmats[c, 1, 3], viewmats[c, 2, 3]),
        (Ks[c, 0, 0], Ks[c, 1, 1], Ks[c, 0, 2], Ks[c, 1, 2]),
    )


@part
def camera_point(camera, mean):
    """p = W μ + t."""
    (right, down, forward), (tx, ty, tz), _ = camera
    return dot(right, mean) + tx, dot(down, mean) + ty, dot(forward, mean) + tz


@part
def rotation(quat):
    """The columns of R, and the unit quaternion with the factor that made it one."""
    n = ONE / np.sqrt(quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3])
    w, x, y, z = quat[0] * n, quat[1] * n, quat[2] * n, quat[3] * n
    first = ONE - TWO * (y * y + z * z), TWO * (x * y + w * z), TWO * (x * z - w * y)
    second = TWO * (x * y - w * z), ONE - TWO * (x * x + z * z), TWO * (y * z + w * x)
    third = TWO * (x * z + w * y), TWO * (y * z - w * x), ONE - TWO * (x * x + y * y)
    return (first, second, third), (w, x, y, z, n)


@part
def scaled_columns(columns, scale):
    """The columns of M = R S."""
    (a, b, c), (p, q, r) = columns, scale
    return (p * a[0], p * a[1], p * a[2]), (q * b[0], q * b[1], q * b[2]), (r * c[0], r * c[1], r * c[2])


@part
def clamped_ratio(x, z, focal, center, size):
    """x/z kept near the image, and whether it was free (so that it passes its gradient on)."""
    ratio = x / z
    low, high = -(center + CLAMP * size) / focal, (size - center + CLAMP * size) / focal
    return min(max(ratio, low), high), low <= ratio <= high


@part
def jacobian_row(focal, ratio, z, axis, forward):
    """A row of U = J W, where J's row is f/z along its own axis and -f/z · ratio along z."""
    j = focal / z
    k = -j * ratio
    return j * axis[0] + k * forward[0], j * axis[1] + k * forward[1], j * axis[2] + k * forward[2]


@part
def factor_row(u, m):
    """A row of V = U M, from M's columns."""
    return dot(u, m[0]), dot(u, m[1]), dot(u, m[2])


@part
def covariance(vx, vy):
    """Σ' as (xx, xy, yy), and its determinant.

    |vx|²|vy|² - (vx·vy)² = |vx × vy|²: no cancellation, however thin the splat.
    """
    xx, xy, yy = dot(vx, vx), dot(vx, vy), dot(vy, vy)
    cross = vx[1] * vy[2] - vx[2] * vy[1], vx[2] * vy[0] - vx[0] * vy[2], vx[0] * vy[1] - vx[1] * vy[0]
    return xx + BLUR, xy, yy + BLUR, dot(cross, cross) + BLUR * (xx + yy) + BLUR * BLUR


@part
def shape_of(xy, yy, det):
    """(a, m, b)."""
    return yy / det, xy / yy, ONE / yy


@part
def box_range(center, radius, size):
    """Pixels [first, last) whose centres lie within `radius` of `center`; empty outside the image."""
    first = np.ceil(center - radius - HALF)
    last = np.floor(center + radius - HALF) + ONE
    if not (last > ZERO and first < size):
        return 0, 0
    return int(max(first, ZERO)), int(min(last, size))


@kernel
def project(counter, means, quats, scales, opacities, colors, viewmats, Ks, views, splats, boxes, touched):
    """Fills splats [C, N, 10], boxes [C, N, 4] (x0, x1, y0, y1 in px), touched [C, N] (tiles; 0: unseen)."""
    num_cameras, num_gaussians = touched.shape
    chunks = (num_gaussians + CHUNK - 1) // CHUNK
    while True:
        item = take(counter)
        if item >= num_cameras * chunks:
            return
        c, start = item // chunks, (item % chunks) * CHUNK
        camera = camera_of(viewmats, Ks, c)
        (right, down, forward), _, (fx, fy, cx, cy) = camera
        width, height = np.float32(views[c, WIDTH]), np.float32(views[c, HEIGHT])
        for i in range(start, min(start + CHUNK, num_gaussians)):
            touched[c, i] = 0
            x, y, z = camera_point(camera, row3(means, i))
            if not (z > NEAR and opacities[i] >= ALPHA_MIN):
                continue
            ratio_x, _ = clamped_ratio(x, z, fx, cx, width)
            ratio_y, _ = clamped_ratio(y, z, fy, cy, height)
            columns, _ = rotation(row4(quats, i))
            m = scaled_columns(columns, row3(scales, i))
            vx = factor_row(jacobian_row(fx, ratio_x, z, right, forward), m)
            vy = factor_row(jacobian_row(fy, ratio_y, z, down, forward), m)
            xx, xy, yy, det = covariance(vx, vy)
            if not det < DET_MAX:
                continue
            # so many standard deviations from its middle, the splat's alpha falls to 1/255
            reach = np.sqrt(TWO * np.log(opacities[i] / ALPHA_MIN)) + np.float32(1e-3)
            mean_x, mean_y = fx * x / z + cx, fy * y / z + cy
            x0, x1 = box_range(mean_x, reach * np.sqrt(xx), width)
            y0, y1 = box_range(mean_y, reach * np.sqrt(yy), height)
            if x0 >= x1 or y0 >= y1:
                continue
            touched[c, i] = ((x1 - 1) // TILE - x0 // TILE + 1) * ((y1 - 1) // TILE - y0 // TILE + 1)
            boxes[c, i, 0], boxes[c, i, 1], boxes[c, i, 2], boxes[c, i, 3] = x0, x1, y0, y1
            splats[c, i, MEAN], splats[c, i, MEAN + 1], splats[c, i, DEPTH] = mean_x, mean_y, z
            splats[c, i, SHAPE], splats[c, i, SHAPE + 1], splats[c, i, SHAPE + 2] = shape_of(xy, yy, det)
            splats[c, i, OPACITY] = opacities[i]
            splats[c, i, COLOR], splats[c, i, COLOR + 1], splats[c, i, COLOR + 2] = row3(colors, i)
