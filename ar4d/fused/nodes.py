"""From the offsets of control nodes to their transforms, and back.

A node's row of the table: translation t, rotation r (the quaternion (1, r), normalised), offsets of the
logit-opacity, the log-scales and, where the field has them, the colours. Its transform: see kernels/blend.py.
"""

from __future__ import annotations

import numpy as np

from ar4d.kernels.blend import EXTRAS, OFFSET, QUAT
from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import take
from ar4d.kernels.rigidity import add_edges

CHUNK = 128  # nodes that a thread takes at once
ROTATION, REST, COLORS = 3, 6, 10  # where the parts of a table's row begin
ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)


@part
def unit_quaternion(row):
    """(w, x, y, z) of (1, r), and 1 / |(1, r)|."""
    x, y, z = row[ROTATION], row[ROTATION + 1], row[ROTATION + 2]
    inverse = ONE / np.sqrt(ONE + x * x + y * y + z * z)
    return inverse, x * inverse, y * inverse, z * inverse, inverse


@kernel
def pack_nodes(counter, table, moment, nodes, packed):
    """Fills packed [M, 16 + E] from keyframe moment[0] of the table [F, M, 6 + E]."""
    size = nodes.shape[0]
    while True:
        start = take(counter) * CHUNK
        if start >= size:
            return
        for i in range(start, min(start + CHUNK, size)):
            source, row = table[moment[0], i], packed[i]
            w, x, y, z, _ = unit_quaternion(source)
            row[0], row[1], row[2] = ONE - TWO * (y * y + z * z), TWO * (x * y - w * z), TWO * (x * z + w * y)
            row[3], row[4], row[5] = TWO * (x * y + w * z), ONE - TWO * (x * x + z * z), TWO * (y * z - w * x)
            row[6], row[7], row[8] = TWO * (x * z - w * y), TWO * (y * z + w * x), ONE - TWO * (x * x + y * y)
            for a in range(3):
                turned = ZERO
                for b in range(3):
                    turned += row[3 * a + b] * nodes[i, b]
                row[OFFSET + a] = nodes[i, a] + source[a] - turned
            row[QUAT], row[QUAT + 1], row[QUAT + 2], row[QUAT + 3] = w, x, y, z
            for j in range(row.shape[0] - EXTRAS):
                row[EXTRAS + j] = source[REST + j]


@kernel
def rigid_edges(
    counter, packed, table, moment, heads, tails, edges, resistance, grad_turns, grad_moves, sums
):
    """Fills sums[0] with the energy of the edges (kernels/rigidity.py), and its derivatives."""
    if take(counter) == 0:
        grad_turns[:] = ZERO
        grad_moves[:] = ZERO
        moves = table[moment[0]]
        sums[0] = add_edges(packed, moves, heads, tails, edges, resistance, grad_turns, grad_moves)


@kernel
def nodes_backward(
    counter, table, moment, nodes, grad_packed, grad_turns, grad_moves, color_weight, grad_table, sums
):
    """Fills keyframe moment[0] of grad_table from grad_packed [CHUNKS, M, 16 + E].

    Args:
        grad_turns, grad_moves: [M, 9] and [M, 3] more of the rotations and translations, or [0, …].
        color_weight: of the mean square of the colours' offsets; its sum of squares goes to sums [chunks].
    """
    size, width = nodes.shape[0], grad_packed.shape[2]
    grad = np.empty(width, np.float32)
    while True:
        item = take(counter)
        start = item * CHUNK
        if start >= size:
            return
        squares = ZERO
        for i in range(start, min(start + CHUNK, size)):
            for j in range(width):
                grad[j] = ZERO
            for chunk in range(grad_packed.shape[0]):
                for j in range(width):
                    grad[j] += grad_packed[chunk, i, j]
            source, target = table[moment[0], i], grad_table[moment[0], i]
            for a in range(3):
                target[a] = grad[OFFSET + a]
                for b in range(3):
                    grad[3 * a + b] -= grad[OFFSET + a] * nodes[i, b]
            if grad_turns.shape[0] > 0:
                for a in range(3):
                    target[a] += grad_moves[i, a]
                for j in range(9):
                    grad[j] += grad_turns[i, j]
            turn_backward(grad, source, target)
            for j in range(width - EXTRAS):
                target[REST + j] = grad[EXTRAS + j]
            for j in range(COLORS, source.shape[0]):
                squares += source[j] * source[j]
                target[j] += TWO * color_weight / np.float32(3 * size) * source[j]
        sums[item] = squares


@part
def turn_backward(grad, source, target):
    """From the gradients of the rotation matrix and the quaternion to those of r."""
    w, x, y, z, n = unit_quaternion(source)
    a, b, c = grad[7] - grad[5], grad[2] - grad[6], grad[3] - grad[1]
    xy, xz, yz = grad[1] + grad[3], grad[2] + grad[6], grad[5] + grad[7]
    dw = grad[QUAT] + TWO * (x * a + y * b + z * c)
    dx = grad[QUAT + 1] + TWO * (w * a + y * xy + z * xz - TWO * x * (grad[4] + grad[8]))
    dy = grad[QUAT + 2] + TWO * (w * b + x * xy + z * yz - TWO * y * (grad[0] + grad[8]))
    dz = grad[QUAT + 3] + TWO * (w * c + x * xz + y * yz - TWO * z * (grad[0] + grad[4]))
    along = dw * w + dx * x + dy * y + dz * z
    target[ROTATION] = (dx - along * x) * n
    target[ROTATION + 1] = (dy - along * y) * n
    target[ROTATION + 2] = (dz - along * z) * n
