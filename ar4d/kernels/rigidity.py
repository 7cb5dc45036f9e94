"""Energy of edges that should only turn, and its derivative, in one pass.

    E = Σ_e ω_e |d_e|²,   d_e = (edge_e + t_b - t_a) - R_a edge_e

    ∂E/∂t_b = 2 ω d = -∂E/∂t_a,   ∂E/∂R_a = -2 ω d edgeᵀ

A few thousand edges take a fraction of a millisecond, so one thread does them in order.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from ar4d.kernels.jit import kernel, part

TWO = np.float32(2)


@kernel
def edge_energies(turns, translations, heads, tails, edges, resistance, grad_turns, grad_translations):
    """Adds the derivatives to grad_turns [M, 9] and grad_translations [M, 3]; returns E."""
    return add_edges(turns, translations, heads, tails, edges, resistance, grad_turns, grad_translations)


@part
def add_edges(turns, translations, heads, tails, edges, resistance, grad_turns, grad_translations):
    """`edge_energies` inside a kernel."""
    total = 0.0
    for e in range(heads.shape[0]):
        a, b = heads[e], tails[e]
        x, y, z = edges[e, 0], edges[e, 1], edges[e, 2]
        weight = resistance[e]
        for i in range(3):
            turned = turns[a, 3 * i] * x + turns[a, 3 * i + 1] * y + turns[a, 3 * i + 2] * z
            d = edges[e, i] + translations[b, i] - translations[a, i] - turned
            total += weight * d * d
            g = TWO * weight * d
            grad_translations[b, i] += g
            grad_translations[a, i] -= g
            grad_turns[a, 3 * i] -= g * x
            grad_turns[a, 3 * i + 1] -= g * y
            grad_turns[a, 3 * i + 2] -= g * z
    return total


class EdgeEnergy(torch.autograd.Function):
    """(rotations [M, 3, 3], translations [M, 3], heads, tails, edges [E, 3], resistance [E]) -> E."""

    @staticmethod
    def forward(ctx, turns, translations, heads, tails, edges, resistance):
        arrays = [x.detach().contiguous().numpy() for x in (translations, heads, tails, edges, resistance)]
        grads = torch.zeros(len(turns), 9), torch.zeros_like(translations)
        flat = turns.detach().reshape(-1, 9).contiguous().numpy()
        total = edge_energies(flat, *arrays, *(g.numpy() for g in grads))
        ctx.save_for_backward(*grads)
        return translations.new_tensor(total)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        grad_turns, grad_translations = ctx.saved_tensors
        return grad * grad_turns.view(-1, 3, 3), grad * grad_translations, None, None, None, None
