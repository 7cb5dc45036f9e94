"""The Gaussians follow their nodes and are activated, and the way back from the gradients of their splats."""

from __future__ import annotations

import numpy as np

from ar4d.kernels.blend import CHUNKS, EXTRAS, OFFSET, QUAT, weighted_row
from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import take
from ar4d.kernels.vectors import row3, row4
from ar4d.rendering.cpu.layout import COLOR, HEIGHT, OPACITY, SPLAT_SIZE, WIDTH
from ar4d.rendering.cpu.projection import camera_of
from ar4d.rendering.cpu.projection_backward import splat_backward, sum_instances

CHUNK = 512  # Gaussians that a thread takes at once
MOVES_COLORS = 4  # so many offsets come before those of the colours
ZERO, ONE = np.float32(0), np.float32(1)


@part
def sigmoid(x):
    return ONE / (ONE + np.exp(-x))


@kernel
def follow(
    counter, packed, indices, weights, freedom, present, keyframe,
    means, quats, log_scales, logits, colors, sigmoid_colors,
    out_means, out_quats, out_scales, out_opacities, out_colors,
):  # fmt: skip
    """Fills the activated Gaussians from their parameters and the nodes' transforms.

    Args:
        packed, indices, weights: see kernels/blend.py; `indices` [N, 0] where there are no nodes.
        freedom: [N] factors of the nodes' offsets; [0] where all are 1.
        present: [K, N] whether each is there at keyframe [1]; [0, N] where all are.
    """
    size = means.shape[0]
    row = np.zeros(packed.shape[1], np.float32)
    while True:
        start = take(counter) * CHUNK
        if start >= size:
            return
        for i in range(start, min(start + CHUNK, size)):
            mean, quat = row3(means, i), row4(quats, i)
            if indices.shape[1] > 0:
                weighted_row(packed, indices, weights, i, row)
                mean, quat = moved(row, mean), turned(row, quat)
            out_means[i, 0], out_means[i, 1], out_means[i, 2] = mean
            out_quats[i, 0], out_quats[i, 1], out_quats[i, 2], out_quats[i, 3] = quat
            free = freedom[i] if freedom.shape[0] > 0 else ONE
            there = present.shape[0] == 0 or present[keyframe[0], i]
            out_opacities[i] = sigmoid(logits[i] + free * row[EXTRAS]) if there else ZERO
            for j in range(3):
                out_scales[i, j] = np.exp(log_scales[i, j] + free * row[EXTRAS + 1 + j])
                color = colors[i, j]
                if row.shape[0] > EXTRAS + MOVES_COLORS:
                    color += free * row[EXTRAS + MOVES_COLORS + j]
                out_colors[i, j] = sigmoid(color) if sigmoid_colors else color


@part
def moved(row, mean):
    x, y, z = mean
    return (
        row[0] * x + row[1] * y + row[2] * z + row[OFFSET],
        row[3] * x + row[4] * y + row[5] * z + row[OFFSET + 1],
        row[6] * x + row[7] * y + row[8] * z + row[OFFSET + 2],
    )


@part
def turned(row, quat):
    return product((row[QUAT], row[QUAT + 1], row[QUAT + 2], row[QUAT + 3]), quat)


@part
def product(p, q):
    """p ⊗ q, wxyz."""
    (pw, px, py, pz), (qw, qx, qy, qz) = p, q
    return (
        pw * qw - px * qx - py * qy - pz * qz,
        pw * qx + px * qw + py * qz - pz * qy,
        pw * qy - px * qz + py * qw + pz * qx,
        pw * qz + px * qy - py * qx + pz * qw,
    )


@part
def conjugate(q):
    return q[0], -q[1], -q[2], -q[3]


@kernel
def follow_backward(
    counter, packed, indices, weights, freedom, means, quats, sigmoid_colors,
    out_means, out_quats, out_scales, out_opacities, out_colors,
    viewmats, Ks, views, touched, ends, instance_grads, used,
    grad_packed, grad_means, grad_quats, grad_log_scales, grad_logits, grad_colors,
):  # fmt: skip
    """From the gradients of the splats to those of the parameters and of the nodes' transforms.

    The gradients of the parameters must be 0; those of Gaussians that no tile shows stay so. Fills
    grad_packed [CHUNKS, M, 16 + E].
    """
    size, width = means.shape[0], packed.shape[1]
    row, grad = np.zeros(width, np.float32), np.zeros(width, np.float32)
    splat, total = np.empty(SPLAT_SIZE, np.float32), np.empty(14, np.float32)
    while True:
        chunk = take(counter)
        if chunk >= CHUNKS:
            return
        grad_packed[chunk] = ZERO
        for i in range(size * chunk // CHUNKS, size * (chunk + 1) // CHUNKS):
            gaussian = row3(out_means, i), row4(out_quats, i), row3(out_scales, i)
            cameras, instances = (viewmats, Ks, views), (touched, ends, instance_grads, used)
            if not sum_views(total, splat, gaussian, cameras, instances, i):
                continue
            o = out_opacities[i]
            d_mean, d_quat = (total[0], total[1], total[2]), (total[3], total[4], total[5], total[6])
            d_logit = total[10] * o * (ONE - o)
            grad_logits[i] = d_logit
            for j in range(3):
                total[7 + j] *= out_scales[i, j]
                c = out_colors[i, j]
                total[11 + j] *= c * (ONE - c) if sigmoid_colors else ONE
                grad_log_scales[i, j], grad_colors[i, j] = total[7 + j], total[11 + j]
            if indices.shape[1] > 0:
                weighted_row(packed, indices, weights, i, row)
                free = freedom[i] if freedom.shape[0] > 0 else ONE
                grad[EXTRAS] = free * d_logit
                for j in range(3):
                    grad[EXTRAS + 1 + j] = free * total[7 + j]
                    if width > EXTRAS + MOVES_COLORS:
                        grad[EXTRAS + MOVES_COLORS + j] = free * total[11 + j]
                d_mean, d_quat = row_backward(grad, row, row3(means, i), row4(quats, i), d_mean, d_quat)
                for k in range(indices.shape[1]):
                    node, weight = indices[i, k], weights[i, k]
                    for j in range(width):
                        grad_packed[chunk, node, j] += weight * grad[j]
            grad_means[i, 0], grad_means[i, 1], grad_means[i, 2] = d_mean
            grad_quats[i, 0], grad_quats[i, 1], grad_quats[i, 2], grad_quats[i, 3] = d_quat


@part
def sum_views(total, splat, gaussian, cameras, instances, i):
    """Fills total [14] (mean, quat, scale, opacity, colour) with a Gaussian's gradients over the views."""
    (viewmats, Ks, views), (touched, ends, instance_grads, used) = cameras, instances
    found = False
    for c in range(touched.shape[0]):
        if sum_instances(splat, touched, ends, instance_grads, used, c, i):
            if not found:
                found = True
                for j in range(14):
                    total[j] = ZERO
            size = np.float32(views[c, WIDTH]), np.float32(views[c, HEIGHT])
            d_mean, d_quat, d_scale = splat_backward(splat, gaussian, camera_of(viewmats, Ks, c), size)
            for j in range(3):
                total[j] += d_mean[j]
                total[7 + j] += d_scale[j]
                total[11 + j] += splat[COLOR + j]
            for j in range(4):
                total[3 + j] += d_quat[j]
            total[10] += splat[OPACITY]
    return found


@part
def row_backward(grad, row, mean, quat, d_mean, d_quat):
    """Fills all but the extras of grad [16 + E]; the gradients of the mean and the quat at rest."""
    for a in range(3):
        for b in range(3):
            grad[3 * a + b] = d_mean[a] * mean[b]
        grad[OFFSET + a] = d_mean[a]
    pw, px, py, pz = product(d_quat, conjugate(quat))
    grad[QUAT], grad[QUAT + 1], grad[QUAT + 2], grad[QUAT + 3] = pw, px, py, pz
    back = (
        row[0] * d_mean[0] + row[3] * d_mean[1] + row[6] * d_mean[2],
        row[1] * d_mean[0] + row[4] * d_mean[1] + row[7] * d_mean[2],
        row[2] * d_mean[0] + row[5] * d_mean[1] + row[8] * d_mean[2],
    )
    return back, product(conjugate((row[QUAT], row[QUAT + 1], row[QUAT + 2], row[QUAT + 3])), d_quat)
