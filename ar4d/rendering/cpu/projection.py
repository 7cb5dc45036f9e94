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

HALF, ONE, TWO = np.float32(0.5), np.float32(1), np.float32(2)


@kernel
def camera_point(viewmat, mean):
    """p = W μ + t."""
    x = viewmat[0, 0] * mean[0] + viewmat[0, 1] * mean[1] + viewmat[0, 2] * mean[2] + viewmat[0, 3]
    y = viewmat[1, 0] * mean[0] + viewmat[1, 1] * mean[1] + viewmat[1, 2] * mean[2] + viewmat[1, 3]
    z = viewmat[2, 0] * mean[0] + viewmat[2, 1] * mean[1] + viewmat[2, 2] * mean[2] + viewmat[2, 3]
    return x, y, z


@kernel
def rotation(quat):
    """Rotation matrix, row by row, and the normalised quaternion with the factor that normalised it."""
    n = ONE / np.sqrt(quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3])
    w, x, y, z = quat[0] * n, quat[1] * n, quat[2] * n, quat[3] * n
    r0, r1, r2 = ONE - TWO * (y * y + z * z), TWO * (x * y - w * z), TWO * (x * z + w * y)
    r3, r4, r5 = TWO * (x * y + w * z), ONE - TWO * (x * x + z * z), TWO * (y * z - w * x)
    r6, r7, r8 = TWO * (x * z - w * y), TWO * (y * z + w * x), ONE - TWO * (x * x + y * y)
    return (r0, r1, r2, r3, r4, r5, r6, r7, r8), (w, x, y, z, n)


@kernel
def clamped_ratio(x, z, focal, center, size):
    """x/z kept near the image, and whether it was free (so that it passes its gradient on)."""
    ratio = x / z
    low, high = -(center + CLAMP * size) / focal, (size - center + CLAMP * size) / focal
    return min(max(ratio, low), high), low <= ratio <= high


@kernel
def jacobian_rows(viewmat, K, ratio_x, ratio_y, z):
    """U = J W, row by row."""
    jx, jy = K[0, 0] / z, K[1, 1] / z
    kx, ky = -jx * ratio_x, -jy * ratio_y
    return (
        jx * viewmat[0, 0] + kx * viewmat[2, 0],
        jx * viewmat[0, 1] + kx * viewmat[2, 1],
        jx * viewmat[0, 2] + kx * viewmat[2, 2],
        jy * viewmat[1, 0] + ky * viewmat[2, 0],
        jy * viewmat[1, 1] + ky * viewmat[2, 1],
        jy * viewmat[1, 2] + ky * viewmat[2, 2],
    )


@kernel
def factor_rows(u, r, scale):
    """V = U R S, row by row."""
    s0, s1, s2 = scale[0], scale[1], scale[2]
    return (
        (u[0] * r[0] + u[1] * r[3] + u[2] * r[6]) * s0,
        (u[0] * r[1] + u[1] * r[4] + u[2] * r[7]) * s1,
        (u[0] * r[2] + u[1] * r[5] + u[2] * r[8]) * s2,
        (u[3] * r[0] + u[4] * r[3] + u[5] * r[6]) * s0,
        (u[3] * r[1] + u[4] * r[4] + u[5] * r[7]) * s1,
        (u[3] * r[2] + u[4] * r[5] + u[5] * r[8]) * s2,
    )


@kernel
def covariance(v):
    """Σ' as (xx, xy, yy), and its determinant.

    |p|²|q|² - (p·q)² = |p × q|² for the rows p, q of V: no cancellation, however thin the splat.
    """
    xx = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
    xy = v[0] * v[3] + v[1] * v[4] + v[2] * v[5]
    yy = v[3] * v[3] + v[4] * v[4] + v[5] * v[5]
    c0, c1, c2 = v[1] * v[5] - v[2] * v[4], v[2] * v[3] - v[0] * v[5], v[0] * v[4] - v[1] * v[3]
    det = c0 * c0 + c1 * c1 + c2 * c2 + BLUR * (xx + yy) + BLUR * BLUR
    return xx + BLUR, xy, yy + BLUR, det


@kernel
def box_range(center, radius, size):
    """Pixels [first, last) whose centres lie within `radius` of `center`; empty outside the image."""
    first = np.ceil(center - radius - HALF)
    last = np.floor(center + radius - HALF) + ONE
    if not (last > np.float32(0) and first < size):
        return 0, 0
    return int(max(first, np.float32(0))), int(min(last, size))


@kernel
def project(counter, means, quats, scales, opacities, colors, viewmats, Ks, width, height, splats, boxes, touched):
    """Fills splats [C, N, 10], boxes [C, N, 4] (x0, x1, y0, y1 in px) and touched [C, N] (tiles; 0 is unseen)."""
    num_cameras, num_gaussians = touched.shape
    chunks = (num_gaussians + CHUNK - 1) // CHUNK
    while True:
        item = take(counter)
        if item >= num_cameras * chunks:
            return
        c, first = item // chunks, (item % chunks) * CHUNK
        for i in range(first, min(first + CHUNK, num_gaussians)):
            touched[c, i] = 0
            if not opacities[i] >= ALPHA_MIN:
                continue
            x, y, z = camera_point(viewmats[c], means[i])
            if not z > NEAR:
                continue
            K = Ks[c]
            ratio_x, _ = clamped_ratio(x, z, K[0, 0], K[0, 2], np.float32(width))
            ratio_y, _ = clamped_ratio(y, z, K[1, 1], K[1, 2], np.float32(height))
            r, _ = rotation(quats[i])
            xx, xy, yy, det = covariance(factor_rows(jacobian_rows(viewmats[c], K, ratio_x, ratio_y, z), r, scales[i]))
            if not det < DET_MAX:
                continue
            # alpha falls to 1/255 this many standard deviations from the middle
            reach = np.sqrt(TWO * np.log(opacities[i] / ALPHA_MIN)) + np.float32(1e-3)
            mean_x, mean_y = K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]
            x0, x1 = box_range(mean_x, reach * np.sqrt(xx), np.float32(width))
            y0, y1 = box_range(mean_y, reach * np.sqrt(yy), np.float32(height))
            if x0 >= x1 or y0 >= y1:
                continue
            touched[c, i] = ((x1 - 1) // TILE - x0 // TILE + 1) * ((y1 - 1) // TILE - y0 // TILE + 1)
            box, splat = boxes[c, i], splats[c, i]
            box[0], box[1], box[2], box[3] = x0, x1, y0, y1
            splat[MEAN_X], splat[MEAN_Y], splat[DEPTH] = mean_x, mean_y, z
            splat[CONIC_A], splat[CONIC_B], splat[CONIC_C] = yy / det, -xy / det, xx / det
            splat[OPACITY] = opacities[i]
            splat[RED], splat[GREEN], splat[BLUE] = colors[i, 0], colors[i, 1], colors[i, 2]


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
            grad_means[i] = grad_quats[i] = grad_scales[i] = grad_colors[i] = np.float32(0)
            grad_opacities[i] = np.float32(0)
            for c in range(num_cameras):
                if touched[c, i] == 0:
                    continue
                grad[:] = np.float32(0)
                for slot in range(ends[c, i] - touched[c, i], ends[c, i]):
                    for j in range(SPLAT_SIZE):
                        grad[j] += instance_grads[slot, j]
                grad_opacities[i] += grad[OPACITY]
                grad_colors[i, 0] += grad[RED]
                grad_colors[i, 1] += grad[GREEN]
                grad_colors[i, 2] += grad[BLUE]
                splat_backward(
                    grad, means[i], quats[i], scales[i], viewmats[c], Ks[c], width, height,
                    grad_means[i], grad_quats[i], grad_scales[i],
                )  # fmt: skip


@kernel
def splat_backward(grad, mean, quat, scale, viewmat, K, width, height, grad_mean, grad_quat, grad_scale):
    """Adds what a splat's mean, conic and depth say about one Gaussian.

    With G the gradient of the conic, dΣ' = -Σ'⁻¹ G Σ'⁻¹, dV = 2 dΣ' V, d(RS) = Uᵀ dV, dU = dV (RS)ᵀ.
    """
    x, y, z = camera_point(viewmat, mean)
    ratio_x, free_x = clamped_ratio(x, z, K[0, 0], K[0, 2], np.float32(width))
    ratio_y, free_y = clamped_ratio(y, z, K[1, 1], K[1, 2], np.float32(height))
    u = jacobian_rows(viewmat, K, ratio_x, ratio_y, z)
    r, q = rotation(quat)
    v = factor_rows(u, r, scale)
    xx, xy, yy, det = covariance(v)
    A, B, C = yy / det, -xy / det, xx / det

    gA, gB, gC = grad[CONIC_A], HALF * grad[CONIC_B], grad[CONIC_C]
    t0, t1, t2, t3 = A * gA + B * gB, A * gB + B * gC, B * gA + C * gB, B * gB + C * gC
    dxx, dxy, dyy = -(t0 * A + t1 * B), -(t0 * B + t1 * C), -(t2 * B + t3 * C)
    dv = (
        TWO * (dxx * v[0] + dxy * v[3]), TWO * (dxx * v[1] + dxy * v[4]), TWO * (dxx * v[2] + dxy * v[5]),
        TWO * (dxy * v[0] + dyy * v[3]), TWO * (dxy * v[1] + dyy * v[4]), TWO * (dxy * v[2] + dyy * v[5]),
    )  # fmt: skip

    # d(RS), then its parts: scale s_k multiplies column k of R
    dm = (
        u[0] * dv[0] + u[3] * dv[3], u[0] * dv[1] + u[3] * dv[4], u[0] * dv[2] + u[3] * dv[5],
        u[1] * dv[0] + u[4] * dv[3], u[1] * dv[1] + u[4] * dv[4], u[1] * dv[2] + u[4] * dv[5],
        u[2] * dv[0] + u[5] * dv[3], u[2] * dv[1] + u[5] * dv[4], u[2] * dv[2] + u[5] * dv[5],
    )  # fmt: skip
    s0, s1, s2 = scale[0], scale[1], scale[2]
    grad_scale[0] += dm[0] * r[0] + dm[3] * r[3] + dm[6] * r[6]
    grad_scale[1] += dm[1] * r[1] + dm[4] * r[4] + dm[7] * r[7]
    grad_scale[2] += dm[2] * r[2] + dm[5] * r[5] + dm[8] * r[8]
    dr = (
        dm[0] * s0, dm[1] * s1, dm[2] * s2,
        dm[3] * s0, dm[4] * s1, dm[5] * s2,
        dm[6] * s0, dm[7] * s1, dm[8] * s2,
    )  # fmt: skip
    rotation_backward(dr, q, grad_quat)

    # dU = dV (RS)ᵀ, and dJ = dU Wᵀ of the four entries of J that are not zero
    e0, e1, e2 = dv[0] * s0, dv[1] * s1, dv[2] * s2
    f0, f1, f2 = dv[3] * s0, dv[4] * s1, dv[5] * s2
    du0 = e0 * r[0] + e1 * r[1] + e2 * r[2]
    du1 = e0 * r[3] + e1 * r[4] + e2 * r[5]
    du2 = e0 * r[6] + e1 * r[7] + e2 * r[8]
    du3 = f0 * r[0] + f1 * r[1] + f2 * r[2]
    du4 = f0 * r[3] + f1 * r[4] + f2 * r[5]
    du5 = f0 * r[6] + f1 * r[7] + f2 * r[8]
    djx = du0 * viewmat[0, 0] + du1 * viewmat[0, 1] + du2 * viewmat[0, 2]
    dkx = du0 * viewmat[2, 0] + du1 * viewmat[2, 1] + du2 * viewmat[2, 2]
    djy = du3 * viewmat[1, 0] + du4 * viewmat[1, 1] + du5 * viewmat[1, 2]
    dky = du3 * viewmat[2, 0] + du4 * viewmat[2, 1] + du5 * viewmat[2, 2]

    # J = [[fx/z, 0, -fx/z · ratio_x], [0, fy/z, -fy/z · ratio_y]]; mean = f · (x/z, y/z) + c
    jx, jy = K[0, 0] / z, K[1, 1] / z
    dx, dy = jx * grad[MEAN_X], jy * grad[MEAN_Y]
    dz = grad[DEPTH] - (dx * x + dy * y + djx * jx + djy * jy - dkx * jx * ratio_x - dky * jy * ratio_y) / z
    if free_x:
        dx -= dkx * jx / z
        dz += dkx * jx * ratio_x / z
    if free_y:
        dy -= dky * jy / z
        dz += dky * jy * ratio_y / z
    for j in range(3):
        grad_mean[j] += viewmat[0, j] * dx + viewmat[1, j] * dy + viewmat[2, j] * dz


@kernel
def rotation_backward(dr, q, grad_quat):
    """From the rotation matrix to the quaternion, through its normalisation."""
    w, x, y, z, n = q
    dw = TWO * (-z * dr[1] + y * dr[2] + z * dr[3] - x * dr[5] - y * dr[6] + x * dr[7])
    dx = TWO * (y * dr[1] + z * dr[2] + y * dr[3] - TWO * x * dr[4] - w * dr[5] + z * dr[6] + w * dr[7] - TWO * x * dr[8])
    dy = TWO * (-TWO * y * dr[0] + x * dr[1] + w * dr[2] + x * dr[3] + z * dr[5] - w * dr[6] + z * dr[7] - TWO * y * dr[8])
    dz = TWO * (-TWO * z * dr[0] - w * dr[1] + x * dr[2] + w * dr[3] - TWO * z * dr[4] + y * dr[5] + x * dr[6] + y * dr[7])
    along = dw * w + dx * x + dy * y + dz * z
    grad_quat[0] += (dw - along * w) * n
    grad_quat[1] += (dx - along * x) * n
    grad_quat[2] += (dy - along * y) * n
    grad_quat[3] += (dz - along * z) * n
