"""EWA projection of 3D Gaussians to image splats, and its derivative.

A Gaussian with mean μ and covariance R S Sᵀ Rᵀ is seen by a camera (W, t) at p = W μ + t. With J
the Jacobian of the pinhole projection at p, its splat has the covariance

    Σ' = V Vᵀ + 0.3 I,   V = J W R S   [2, 3]

and the conic (A, B, C) = Σ'⁻¹. As in 3DGS and gsplat, x/z and y/z are clamped inside J to 1.3
times the image's half width, which keeps Gaussians beside the image from growing without bound.
"""

from __future__ import annotations

import numpy as np

from ar4d.rendering.cpu.jit import kernel
from ar4d.rendering.cpu.parallel import take

BLUR = np.float32(0.3)  # px², added to both variances
ALPHA_MIN = np.float32(1 / 255)
NEAR = np.float32(0.01)
CLAMP = np.float32(0.15)  # of the image's size, beyond its border
DET_MAX = np.float32(1e37)  # beyond it a splat's conic is lost in rounding

TILE = 32  # px
CHUNK = 1024  # Gaussians taken at once

# Columns of `splats` [C, N, 10], and of their gradients.
MEAN_X, MEAN_Y, CONIC_A, CONIC_B, CONIC_C, OPACITY, RED, GREEN, BLUE, DEPTH = range(10)
SPLAT_SIZE = 10

ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)


# The functions below take rows as tuples: a view of an array would be reference-counted each time.


@kernel
def row3(array, i):
    return array[i, 0], array[i, 1], array[i, 2]


@kernel
def row4(array, i):
    return array[i, 0], array[i, 1], array[i, 2], array[i, 3]


@kernel
def camera_rows(viewmats, Ks, c):
    """Three rows (rotation, translation) of camera c, then (fx, fy, cx, cy)."""
    return (
        (viewmats[c, 0, 0], viewmats[c, 0, 1], viewmats[c, 0, 2], viewmats[c, 0, 3]),
        (viewmats[c, 1, 0], viewmats[c, 1, 1], viewmats[c, 1, 2], viewmats[c, 1, 3]),
        (viewmats[c, 2, 0], viewmats[c, 2, 1], viewmats[c, 2, 2], viewmats[c, 2, 3]),
        (Ks[c, 0, 0], Ks[c, 1, 1], Ks[c, 0, 2], Ks[c, 1, 2]),
    )


@kernel
def dot(a, b):
    """Of the first three entries."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@kernel
def sum2(s, a, t, b):
    """s a + t b, of the first three entries."""
    return s * a[0] + t * b[0], s * a[1] + t * b[1], s * a[2] + t * b[2]


@kernel
def rotation(quat):
    """The columns of the rotation matrix, and the unit quaternion with the factor that made it one."""
    n = ONE / np.sqrt(quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3])
    w, x, y, z = quat[0] * n, quat[1] * n, quat[2] * n, quat[3] * n
    first = ONE - TWO * (y * y + z * z), TWO * (x * y + w * z), TWO * (x * z - w * y)
    second = TWO * (x * y - w * z), ONE - TWO * (x * x + z * z), TWO * (y * z + w * x)
    third = TWO * (x * z + w * y), TWO * (y * z - w * x), ONE - TWO * (x * x + y * y)
    return (first, second, third), (w, x, y, z, n)


@kernel
def rotation_backward(d, q):
    """From the columns' gradients to the quaternion's, through its normalisation."""
    w, x, y, z, n = q
    (d00, d10, d20), (d01, d11, d21), (d02, d12, d22) = d
    dw = TWO * (x * (d21 - d12) + y * (d02 - d20) + z * (d10 - d01))
    dx = TWO * (w * (d21 - d12) + y * (d01 + d10) + z * (d02 + d20) - TWO * x * (d11 + d22))
    dy = TWO * (w * (d02 - d20) + x * (d01 + d10) + z * (d12 + d21) - TWO * y * (d00 + d22))
    dz = TWO * (w * (d10 - d01) + x * (d02 + d20) + y * (d12 + d21) - TWO * z * (d00 + d11))
    along = dw * w + dx * x + dy * y + dz * z
    return (dw - along * w) * n, (dx - along * x) * n, (dy - along * y) * n, (dz - along * z) * n


@kernel
def clamped_ratio(x, z, focal, center, size):
    """x/z kept near the image, and whether it was free (so that it passes its gradient on)."""
    ratio = x / z
    low, high = -(center + CLAMP * size) / focal, (size - center + CLAMP * size) / focal
    return min(max(ratio, low), high), low <= ratio <= high


@kernel
def factors(camera, columns, scale, ratio_x, ratio_y, z):
    """The rows of U = J W and those of V = U R S."""
    right, down, forward, (fx, fy, _, _) = camera
    jx, jy = fx / z, fy / z
    ux = sum2(jx, right, -jx * ratio_x, forward)
    uy = sum2(jy, down, -jy * ratio_y, forward)
    vx = dot(ux, columns[0]) * scale[0], dot(ux, columns[1]) * scale[1], dot(ux, columns[2]) * scale[2]
    vy = dot(uy, columns[0]) * scale[0], dot(uy, columns[1]) * scale[1], dot(uy, columns[2]) * scale[2]
    return ux, uy, vx, vy


@kernel
def covariance(vx, vy):
    """Σ' as (xx, xy, yy), and its determinant.

    |vx|²|vy|² - (vx·vy)² = |vx × vy|²: no cancellation, however thin the splat.
    """
    xx, xy, yy = dot(vx, vx), dot(vx, vy), dot(vy, vy)
    cross = vx[1] * vy[2] - vx[2] * vy[1], vx[2] * vy[0] - vx[0] * vy[2], vx[0] * vy[1] - vx[1] * vy[0]
    return xx + BLUR, xy, yy + BLUR, dot(cross, cross) + BLUR * (xx + yy) + BLUR * BLUR


@kernel
def box_range(center, radius, size):
    """Pixels [first, last) whose centres lie within `radius` of `center`; empty outside the image."""
    first = np.ceil(center - radius - HALF)
    last = np.floor(center + radius - HALF) + ONE
    if not (last > ZERO and first < size):
        return 0, 0
    return int(max(first, ZERO)), int(min(last, size))


@kernel
def project(
    counter, means, quats, scales, opacities, colors, viewmats, Ks, width, height, splats, boxes, touched
):
    """Fills splats [C, N, 10], boxes [C, N, 4] (x0, x1, y0, y1 in px) and touched [C, N] (tiles; 0: unseen)."""
    num_cameras, num_gaussians = touched.shape
    chunks = (num_gaussians + CHUNK - 1) // CHUNK
    while True:
        item = take(counter)
        if item >= num_cameras * chunks:
            return
        c, start = item // chunks, (item % chunks) * CHUNK
        camera = camera_rows(viewmats, Ks, c)
        right, down, forward, (fx, fy, cx, cy) = camera
        for i in range(start, min(start + CHUNK, num_gaussians)):
            touched[c, i] = 0
            mean = row3(means, i)
            x, y, z = dot(right, mean) + right[3], dot(down, mean) + down[3], dot(forward, mean) + forward[3]
            if not (z > NEAR and opacities[i] >= ALPHA_MIN):
                continue
            ratio_x, _ = clamped_ratio(x, z, fx, cx, np.float32(width))
            ratio_y, _ = clamped_ratio(y, z, fy, cy, np.float32(height))
            columns, _ = rotation(row4(quats, i))
            _, _, vx, vy = factors(camera, columns, row3(scales, i), ratio_x, ratio_y, z)
            xx, xy, yy, det = covariance(vx, vy)
            if not det < DET_MAX:
                continue
            # so many standard deviations from its middle, the splat's alpha falls to 1/255
            reach = np.sqrt(TWO * np.log(opacities[i] / ALPHA_MIN)) + np.float32(1e-3)
            mean_x, mean_y = fx * x / z + cx, fy * y / z + cy
            x0, x1 = box_range(mean_x, reach * np.sqrt(xx), np.float32(width))
            y0, y1 = box_range(mean_y, reach * np.sqrt(yy), np.float32(height))
            if x0 >= x1 or y0 >= y1:
                continue
            touched[c, i] = ((x1 - 1) // TILE - x0 // TILE + 1) * ((y1 - 1) // TILE - y0 // TILE + 1)
            boxes[c, i, 0], boxes[c, i, 1], boxes[c, i, 2], boxes[c, i, 3] = x0, x1, y0, y1
            splats[c, i, MEAN_X], splats[c, i, MEAN_Y], splats[c, i, DEPTH] = mean_x, mean_y, z
            splats[c, i, CONIC_A], splats[c, i, CONIC_B], splats[c, i, CONIC_C] = (
                yy / det,
                -xy / det,
                xx / det,
            )
            splats[c, i, OPACITY] = opacities[i]
            splats[c, i, RED], splats[c, i, GREEN], splats[c, i, BLUE] = row3(colors, i)


@kernel
def project_backward(
    counter, means, quats, scales, viewmats, Ks, width, height, touched, ends, instance_grads,
    grad_means, grad_quats, grad_scales, grad_opacities, grad_colors,
):  # fmt: skip
    """Sums each Gaussian's gradients over its tiles and cameras and carries them to its attributes."""
    num_cameras, num_gaussians = touched.shape
    chunks = (num_gaussians + CHUNK - 1) // CHUNK
    grad = np.empty(SPLAT_SIZE, np.float32)
    while True:
        item = take(counter)
        if item >= chunks:
            return
        for i in range(item * CHUNK, min((item + 1) * CHUNK, num_gaussians)):
            grad_opacities[i] = ZERO
            for j in range(3):
                grad_means[i, j] = grad_scales[i, j] = grad_colors[i, j] = ZERO
            for j in range(4):
                grad_quats[i, j] = ZERO
            mean, quat, scale = row3(means, i), row4(quats, i), row3(scales, i)
            for c in range(num_cameras):
                if touched[c, i] == 0:
                    continue
                for j in range(SPLAT_SIZE):
                    grad[j] = ZERO
                for slot in range(ends[c, i] - touched[c, i], ends[c, i]):
                    for j in range(SPLAT_SIZE):
                        grad[j] += instance_grads[slot, j]
                d_mean, d_quat, d_scale = splat_backward(
                    grad,
                    mean,
                    quat,
                    scale,
                    camera_rows(viewmats, Ks, c),
                    np.float32(width),
                    np.float32(height),
                )
                grad_opacities[i] += grad[OPACITY]
                for j in range(3):
                    grad_means[i, j] += d_mean[j]
                    grad_scales[i, j] += d_scale[j]
                    grad_colors[i, j] += grad[RED + j]
                for j in range(4):
                    grad_quats[i, j] += d_quat[j]


@kernel
def splat_backward(grad, mean, quat, scale, camera, width, height):
    """From the gradients of a splat's mean, conic and depth to those of mean, quat and scale.

    With G the gradient of the conic: dΣ' = -Σ'⁻¹ G Σ'⁻¹, dV = 2 dΣ' V, d(RS) = Uᵀ dV, dU = dV (RS)ᵀ
    and dJ = dU Wᵀ.
    """
    right, down, forward, (fx, fy, cx, cy) = camera
    x, y, z = dot(right, mean) + right[3], dot(down, mean) + down[3], dot(forward, mean) + forward[3]
    ratio_x, free_x = clamped_ratio(x, z, fx, cx, width)
    ratio_y, free_y = clamped_ratio(y, z, fy, cy, height)
    columns, q = rotation(quat)
    ux, uy, vx, vy = factors(camera, columns, scale, ratio_x, ratio_y, z)
    xx, xy, yy, det = covariance(vx, vy)

    A, B, C = yy / det, -xy / det, xx / det
    gA, gB, gC = grad[CONIC_A], HALF * grad[CONIC_B], grad[CONIC_C]
    t0, t1, t2, t3 = A * gA + B * gB, A * gB + B * gC, B * gA + C * gB, B * gB + C * gC
    dxx, dxy, dyy = -(t0 * A + t1 * B), -(t0 * B + t1 * C), -(t2 * B + t3 * C)
    dvx, dvy = sum2(TWO * dxx, vx, TWO * dxy, vy), sum2(TWO * dxy, vx, TWO * dyy, vy)

    # column k of RS is s_k times column k of R
    dm0, dm1, dm2 = (
        sum2(dvx[0], ux, dvy[0], uy),
        sum2(dvx[1], ux, dvy[1], uy),
        sum2(dvx[2], ux, dvy[2], uy),
    )
    d_scale = dot(dm0, columns[0]), dot(dm1, columns[1]), dot(dm2, columns[2])
    d_columns = (
        sum2(scale[0], dm0, ZERO, dm0),
        sum2(scale[1], dm1, ZERO, dm1),
        sum2(scale[2], dm2, ZERO, dm2),
    )
    dux, duy = (
        combine(columns, dvx[0] * scale[0], dvx[1] * scale[1], dvx[2] * scale[2]),
        combine(columns, dvy[0] * scale[0], dvy[1] * scale[1], dvy[2] * scale[2]),
    )

    # J = [[jx, 0, -jx ratio_x], [0, jy, -jy ratio_y]] with j = f/z; the splat's mean is f (x/z, y/z) + c
    jx, jy = fx / z, fy / z
    djx, djy = dot(dux, right) - ratio_x * dot(dux, forward), dot(duy, down) - ratio_y * dot(duy, forward)
    d_ratio_x, d_ratio_y = -jx * dot(dux, forward), -jy * dot(duy, forward)
    dx, dy = jx * grad[MEAN_X], jy * grad[MEAN_Y]
    if free_x:
        dx += d_ratio_x / z
    if free_y:
        dy += d_ratio_y / z
    dz = grad[DEPTH] - (dx * x + dy * y + djx * jx + djy * jy) / z
    return combine((right, down, forward), dx, dy, dz), rotation_backward(d_columns, q), d_scale


@kernel
def combine(vectors, a, b, c):
    """a v0 + b v1 + c v2, of the first three entries."""
    v0, v1, v2 = vectors
    return (
        a * v0[0] + b * v1[0] + c * v2[0],
        a * v0[1] + b * v1[1] + c * v2[1],
        a * v0[2] + b * v1[2] + c * v2[2],
    )
