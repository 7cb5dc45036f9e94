"""Linear blending of node transforms, and its derivative.

A node's transform is packed as [R (9, row by row) | node + t - R node (3) | quat (4) | extras (E)],
so that what a Gaussian needs is one weighted sum of K rows. Gradients of the nodes are summed over
a fixed number of chunks, in order: the same bits for any number of threads.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import run, take
from ar4d.kernels.vectors import row3, row4

OFFSET, QUAT, EXTRAS = 9, 12, 16  # where the parts of a packed row begin
CHUNKS = 8
ZERO = np.float32(0)


@part
def weighted_row(packed, indices, weights, i, row):
    for j in range(row.shape[0]):
        row[j] = ZERO
    for k in range(indices.shape[1]):
        node, weight = indices[i, k], weights[i, k]
        for j in range(row.shape[0]):
            row[j] += weight * packed[node, j]


@kernel
def blend_forward(counter, packed, indices, weights, means, quats, out_means, out_quats, out_extras):
    size = means.shape[0]
    row = np.empty(packed.shape[1], np.float32)
    while True:
        chunk = take(counter)
        if chunk >= CHUNKS:
            return
        for i in range(size * chunk // CHUNKS, size * (chunk + 1) // CHUNKS):
            weighted_row(packed, indices, weights, i, row)
            x, y, z = row3(means, i)
            out_means[i, 0] = row[0] * x + row[1] * y + row[2] * z + row[OFFSET]
            out_means[i, 1] = row[3] * x + row[4] * y + row[5] * z + row[OFFSET + 1]
            out_means[i, 2] = row[6] * x + row[7] * y + row[8] * z + row[OFFSET + 2]
            pw, px, py, pz = row[QUAT], row[QUAT + 1], row[QUAT + 2], row[QUAT + 3]
            qw, qx, qy, qz = row4(quats, i)
            out_quats[i, 0] = pw * qw - px * qx - py * qy - pz * qz
            out_quats[i, 1] = pw * qx + px * qw + py * qz - pz * qy
            out_quats[i, 2] = pw * qy - px * qz + py * qw + pz * qx
            out_quats[i, 3] = pw * qz + px * qy - py * qx + pz * qw
            for j in range(out_extras.shape[1]):
                out_extras[i, j] = row[EXTRAS + j]


@kernel
def blend_backward(
    counter, packed, indices, weights, means, quats, grad_out_means, grad_out_quats, grad_out_extras,
    grad_packed, grad_means, grad_quats,
):  # fmt: skip
    """Fills grad_means, grad_quats and grad_packed [CHUNKS, M, 16 + E]."""
    size = means.shape[0]
    row, grad = np.empty(packed.shape[1], np.float32), np.empty(packed.shape[1], np.float32)
    while True:
        chunk = take(counter)
        if chunk >= CHUNKS:
            return
        grad_packed[chunk] = ZERO
        for i in range(size * chunk // CHUNKS, size * (chunk + 1) // CHUNKS):
            weighted_row(packed, indices, weights, i, row)
            x, y, z = row3(means, i)
            for a in range(3):
                g = grad_out_means[i, a]
                grad[3 * a], grad[3 * a + 1], grad[3 * a + 2], grad[OFFSET + a] = g * x, g * y, g * z, g
                grad_means[i, a] = (
                    row[a] * grad_out_means[i, 0]
                    + row[3 + a] * grad_out_means[i, 1]
                    + row[6 + a] * grad_out_means[i, 2]
                )
            pw, px, py, pz = row[QUAT], row[QUAT + 1], row[QUAT + 2], row[QUAT + 3]
            qw, qx, qy, qz = row4(quats, i)
            gw, gx, gy, gz = row4(grad_out_quats, i)
            grad[QUAT] = gw * qw + gx * qx + gy * qy + gz * qz
            grad[QUAT + 1] = -gw * qx + gx * qw - gy * qz + gz * qy
            grad[QUAT + 2] = -gw * qy + gx * qz + gy * qw - gz * qx
            grad[QUAT + 3] = -gw * qz - gx * qy + gy * qx + gz * qw
            grad_quats[i, 0] = gw * pw + gx * px + gy * py + gz * pz
            grad_quats[i, 1] = -gw * px + gx * pw + gy * pz - gz * py
            grad_quats[i, 2] = -gw * py - gx * pz + gy * pw + gz * px
            grad_quats[i, 3] = -gw * pz + gx * py - gy * px + gz * pw
            for j in range(grad_out_extras.shape[1]):
                grad[EXTRAS + j] = grad_out_extras[i, j]
            for k in range(indices.shape[1]):
                node, weight = indices[i, k], weights[i, k]
                for j in range(grad.shape[0]):
                    grad_packed[chunk, node, j] += weight * grad[j]


class Blend(torch.autograd.Function):
    """(packed [M, 16 + E], indices, weights, means, quats) -> (means, quats, extras)."""

    @staticmethod
    def forward(ctx, packed, indices, weights, means, quats):
        floats = (x.detach().float().contiguous() for x in (packed, weights, means, quats))
        packed, weights, means, quats = floats
        inputs = packed, indices.int().contiguous(), weights, means, quats
        N = means.shape[0]
        outputs = torch.empty(N, 3), torch.empty(N, 4), torch.empty(N, packed.shape[1] - EXTRAS)
        run(blend_forward, CHUNKS, *(x.numpy() for x in (*inputs, *outputs)))
        ctx.save_for_backward(*inputs)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx, *grad_outputs):
        packed, _, _, means, quats = ctx.saved_tensors
        grads = torch.empty(CHUNKS, *packed.shape), torch.empty_like(means), torch.empty_like(quats)
        arrays = (*ctx.saved_tensors, *(g.contiguous() for g in grad_outputs), *grads)
        run(blend_backward, CHUNKS, *(x.numpy() for x in arrays))
        return grads[0].sum(0), None, None, grads[1], grads[2]
