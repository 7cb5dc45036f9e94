"""From the gradients of the splats to those of the Gaussians: the derivative of projection.py."""

from __future__ import annotations

import numpy as np

from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import take
from ar4d.kernels.vectors import row3, row4
from ar4d.rendering.cpu.layout import (
    CHUNK,
    COLOR,
    DEPTH,
    HALF,
    HEIGHT,
    MEAN,
    OPACITY,
    SHAPE,
    SPLAT_SIZE,
    TWO,
    WIDTH,
    ZERO,
)
from ar4d.rendering.cpu.projection import (
    camera_of,
    camera_point,
    clamped_ratio,
    combined,
    covariance,
    dot,
    factor_row,
    jacobian_row,
    rotation,
    scaled_columns,
    shape_of,
)


@kernel
def project_backward(
    counter, means, quats, scales, viewmats, Ks, views, touched, ends, instance_grads, used,
    grad_means, grad_quats, grad_scales, grad_opacities, grad_colors,
):  # fmt: skip
    """Sums each Gaussian's gradients over its tiles and views and carries them to its attributes."""
    num_views, num_gaussians = touched.shape
    grad = np.empty(SPLAT_SIZE, np.float32)
    while True:
        item = take(counter)
        if item * CHUNK >= num_gaussians:
            return
        for i in range(item * CHUNK, min((item + 1) * CHUNK, num_gaussians)):
            grad_opacities[i] = ZERO
            for j in range(3):
                grad_means[i, j] = grad_scales[i, j] = grad_colors[i, j] = ZERO
            for j in range(4):
                grad_quats[i, j] = ZERO
            for c in range(num_views):
                if not sum_instances(grad, touched, ends, instance_grads, used, c, i):
                    continue
                gaussian = row3(means, i), row4(quats, i), row3(scales, i)
                size = np.float32(views[c, WIDTH]), np.float32(views[c, HEIGHT])
                d_mean, d_quat, d_scale = splat_backward(grad, gaussian, camera_of(viewmats, Ks, c), size)
                grad_opacities[i] += grad[OPACITY]
                for j in range(3):
                    grad_means[i, j] += d_mean[j]
                    grad_scales[i, j] += d_scale[j]
                    grad_colors[i, j] += grad[COLOR + j]
                for j in range(4):
                    grad_quats[i, j] += d_quat[j]


@part
def sum_instances(grad, touched, ends, instance_grads, used, c, i):
    """Fills grad [10] with a splat's gradients over all its tiles; False where no tile shows it.

    Clears used [I] on the way, for the next run.
    """
    found = False
    for slot in range(ends[c, i] - touched[c, i], ends[c, i]):
        if used[slot]:
            used[slot] = False
            if not found:
                found = True
                for j in range(SPLAT_SIZE):
                    grad[j] = ZERO
            for j in range(SPLAT_SIZE):
                grad[j] += instance_grads[slot, j]
    return found


@part
def splat_backward(grad, gaussian, camera, size):
    """From the gradients of one splat's mean, shape and depth to those of mean, quat and scale.

    dV = 2 dΣ' V, dM = Uᵀ dV, dU = dV Mᵀ, dJ = dU Wᵀ. The splat's mean is f (x/z, y/z) + c; J's rows
    are (j_x, 0, -j_x ratio_x) and (0, j_y, -j_y ratio_y) with j = f/z.
    """
    mean, quat, scale = gaussian
    (right, down, forward), _, (fx, fy, cx, cy) = camera
    x, y, z = camera_point(camera, mean)
    ratio_x, free_x = clamped_ratio(x, z, fx, cx, size[0])
    ratio_y, free_y = clamped_ratio(y, z, fy, cy, size[1])
    columns, unit_quat = rotation(quat)
    m = scaled_columns(columns, scale)
    ux, uy = jacobian_row(fx, ratio_x, z, right, forward), jacobian_row(fy, ratio_y, z, down, forward)
    vx, vy = factor_row(ux, m), factor_row(uy, m)

    _, xy, yy, det = covariance(vx, vy)
    ga, gm, gb = grad[SHAPE], grad[SHAPE + 1], grad[SHAPE + 2]
    dxx, dxy, dyy = shape_backward(ga, gm, gb, shape_of(xy, yy, det))
    dvx, dvy = sum2(TWO * dxx, vx, TWO * dxy, vy), sum2(TWO * dxy, vx, TWO * dyy, vy)

    dm = sum2(dvx[0], ux, dvy[0], uy), sum2(dvx[1], ux, dvy[1], uy), sum2(dvx[2], ux, dvy[2], uy)
    d_scale = dot(dm[0], columns[0]), dot(dm[1], columns[1]), dot(dm[2], columns[2])
    d_quat = rotation_backward(scaled_columns(dm, scale), unit_quat)

    dux, duy = combined(dvx, m), combined(dvy, m)
    jx, jy = fx / z, fy / z
    djx, djy = dot(dux, right) - ratio_x * dot(dux, forward), dot(duy, down) - ratio_y * dot(duy, forward)
    dx, dy = jx * grad[MEAN], jy * grad[MEAN + 1]
    if free_x:
        dx -= jx * dot(dux, forward) / z
    if free_y:
        dy -= jy * dot(duy, forward) / z
    dz = grad[DEPTH] - (dx * x + dy * y + djx * jx + djy * jy) / z
    return combined((dx, dy, dz), (right, down, forward)), d_quat, d_scale


@part
def sum2(s, a, t, b):
    return s * a[0] + t * b[0], s * a[1] + t * b[1], s * a[2] + t * b[2]


@part
def shape_backward(ga, gm, gb, shape):
    """From (a, m, b) to the symmetric dΣ': with q = 1/a, dq = dxx - 2 m dxy + m² dyy."""
    a, m, b = shape
    gq, gxy = -a * a * ga, b * gm
    return gq, HALF * gxy - m * gq, m * m * gq - m * gxy - b * b * gb


@part
def rotation_backward(d_columns, unit_quat):
    """From R's columns to the quaternion, through its normalisation."""
    w, x, y, z, n = unit_quat
    (d00, d10, d20), (d01, d11, d21), (d02, d12, d22) = d_columns
    dw = TWO * (x * (d21 - d12) + y * (d02 - d20) + z * (d10 - d01))
    dx = TWO * (w * (d21 - d12) + y * (d01 + d10) + z * (d02 + d20) - TWO * x * (d11 + d22))
    dy = TWO * (w * (d02 - d20) + x * (d01 + d10) + z * (d12 + d21) - TWO * y * (d00 + d22))
    dz = TWO * (w * (d10 - d01) + x * (d02 + d20) + y * (d12 + d21) - TWO * z * (d00 + d11))
    along = dw * w + dx * x + dy * y + dz * z
    return (dw - along * w) * n, (dx - along * x) * n, (dy - along * y) * n, (dz - along * z) * n
