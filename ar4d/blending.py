"""Linear blending of node transforms: a few nodes move, every Gaussian follows its nearest ones."""

from __future__ import annotations

import torch
from torch import Tensor

from ar4d.gaussians import multiply_quaternions


def blend(
    rotations: Tensor,
    quats: Tensor,
    translations: Tensor,
    extras: Tensor,
    nodes: Tensor,
    indices: Tensor,
    weights: Tensor,
    means: Tensor,
    gaussian_quats: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Moves N Gaussians by the weighted transforms of K of M nodes each.

    μ' = Σ w_k (R_k (μ - n_k) + n_k + t_k),  q' = (Σ w_k q_k) ⊗ q,  e' = Σ w_k e_k.

    Differentiable with respect to the nodes' transforms and extras, `means` and `gaussian_quats`;
    not with respect to `nodes` and `weights`.

    Args:
        rotations: [M, 3, 3] of the nodes.
        quats: [M, 4] wxyz, the same rotations; of one hemisphere, or neighbours cancel out.
        translations: [M, 3].
        extras: [M, E] offsets of anything else; E may be 0.
        nodes: [M, 3] positions at rest.
        indices: [N, K] int32, into the nodes.
        weights: [N, K], each row sums to 1.
        means: [N, 3] at rest.
        gaussian_quats: [N, 4] wxyz at rest.

    Returns:
        means [N, 3], quats [N, 4] (a sum, so not of unit length) and extras [N, E].
    """
    nodes, weights = nodes.detach(), weights.detach()
    offsets = nodes + translations - (rotations @ nodes[..., None]).squeeze(-1)
    packed = torch.cat([rotations.flatten(1), offsets, quats, extras], dim=1)  # [M, 16 + E]
    if means.is_cuda:
        return blend_torch(packed, indices, weights, means, gaussian_quats)
    from ar4d.kernels.blend import Blend

    return Blend.apply(packed, indices, weights, means, gaussian_quats)


def blend_torch(
    packed: Tensor, indices: Tensor, weights: Tensor, means: Tensor, quats: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """`blend` in plain torch, on any device, of transforms packed as [R | offset | quat | extras]."""
    rows = (packed[indices.long()] * weights[..., None]).sum(1)  # [N, 16 + E]
    rotations, offsets, turns, extras = rows.split([9, 3, 4, rows.shape[1] - 16], dim=1)
    moved = (rotations.view(-1, 3, 3) @ means[..., None]).squeeze(-1) + offsets
    return moved, multiply_quaternions(turns, quats), extras
