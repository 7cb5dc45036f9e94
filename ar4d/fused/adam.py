"""Adam (Kingma and Ba, 2015) on flat arrays, the gradients cleared as they are used.

m ← β₁ m + (1 - β₁) g,   v ← β₂ v + (1 - β₂) g²,   x ← x - lr m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε)
"""

from __future__ import annotations

import numpy as np

from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import take

BETA1, BETA2, EPS = 0.9, 0.999, np.float32(1e-15)
KEEP1, TAKE1 = np.float32(BETA1), np.float32(1 - BETA1)
KEEP2, TAKE2 = np.float32(BETA2), np.float32(1 - BETA2)
BLOCK = 4096  # floats
ZERO, ONE = np.float32(0), np.float32(1)
MOST = np.float32(3e38)


@kernel
def adam(counter, blocks, values, grads, first, second, shares, rates, unbias, spoiled):
    """Takes a step.

    Args:
        blocks: [B, 3] int64: group, first and end index.
        values, grads, first, second: [P] parameters, gradients, m and v.
        shares: [P] factors on the steps; [0] where all are 1.
        rates: [G] of the groups, divided by 1 - β₁ᵗ; 0 leaves a group as it is.
        unbias: [1] 1 / √(1 - β₂ᵗ).
        spoiled: [B] filled with the number of gradients that are no finite numbers; their parameters stay.
    """
    while True:
        item = take(counter)
        if item >= blocks.shape[0]:
            return
        group, start, end = blocks[item, 0], blocks[item, 1], blocks[item, 2]
        rate, scale = rates[group], unbias[0]
        spoiled[item] = clear_spoiled(grads, first, second, start, end)
        if shares.shape[0] > 0:
            for k in range(np.uint64(start), np.uint64(end)):
                change = moment_step(grads, first, second, k, scale)
                values[k] -= rate * shares[k] * change
        else:
            for k in range(np.uint64(start), np.uint64(end)):
                change = moment_step(grads, first, second, k, scale)
                values[k] -= rate * change
        for k in range(np.uint64(start), np.uint64(end)):
            grads[k] = ZERO


@part
def moment_step(grads, first, second, k, scale):
    """Updates m and v; the change before the rate."""
    g = grads[k]
    m = KEEP1 * first[k] + TAKE1 * g
    v = KEEP2 * second[k] + TAKE2 * g * g
    first[k], second[k] = m, v
    return m / (np.sqrt(v) * scale + EPS)


@part
def clear_spoiled(grads, first, second, start, end):
    """Forgets gradients that are no finite numbers and the momentum of their parameters; their number."""
    highest, count = ZERO, 0
    for k in range(np.uint64(start), np.uint64(end)):
        highest = highest + abs(grads[k]) * ZERO  # NaN where any is NaN or infinite
    if highest == ZERO:
        return 0
    for k in range(start, end):
        if not abs(grads[k]) < MOST:
            grads[k] = first[k] = second[k] = ZERO
            count += 1
    return count
