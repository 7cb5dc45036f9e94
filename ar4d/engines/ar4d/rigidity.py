"""As-rigid-as-possible motion of control nodes: what holds a body together where no view does.

Sorkine and Alexa, "As-Rigid-As-Possible Surface Modeling", 2007, over the graph of the nodes instead
of a mesh. A node a at x_a moves to y_a = x_a + t_a and turns by R_a; its neighbours should do as it does:

    E = Σ_(a,b) ω_ab |(y_b - y_a) - R_a (x_b - x_a)|² / (|x_b - x_a|² Σ ω),

so E is a squared relative strain. Every node is joined to its nearest nodes, which keeps the surface,
and to the nearest of a coarse subset, which keeps front and back together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.gaussians import rotation_matrices

NEAREST = 6  # neighbours of a node
COARSE = 128  # nodes of the coarse subset: the first ones, which farthest-point sampling spreads evenly
ANCHORS = 3  # of them that each node is joined to


@dataclass(frozen=True)
class NodeGraph:
    """Directed edges between nodes, with the resistance of each."""

    heads: Tensor  # [E] int64, the nodes a whose rotations are asked
    tails: Tensor  # [E] int64, their neighbours b
    edges: Tensor  # [E, 3] x_b - x_a at rest
    resistance: Tensor  # [E] ω / (|x_b - x_a|² Σ ω)

    @staticmethod
    def of(nodes: Tensor, exposed: Tensor, hidden_weight: float, seen_weight: float) -> NodeGraph:
        """Joins nodes.

        Args:
            nodes: [M, 3] at rest, ordered by farthest-point sampling.
            exposed: [M] in [0, 1], how far the clip sees each node.
            hidden_weight: of an edge of which the clip sees no end.
            seen_weight: of one of which it sees both.
        """
        pairs = _edges(nodes)
        heads, tails = pairs[:, 0], pairs[:, 1]
        edges = nodes[tails] - nodes[heads]
        seen = (exposed[heads] + exposed[tails]) / 2
        weight = hidden_weight * (1 - seen) + seen_weight * seen
        lengths = edges.square().sum(-1).clamp_min(1e-8)
        return NodeGraph(heads, tails, edges, weight / (lengths * max(len(edges), 1)))

    def energy(self, offsets: Tensor) -> Tensor:
        """E of nodes that move.

        Args:
            offsets: [M, 6 or more] translations and the rotations' vector parts, as `NodeField` has them.
        """
        turns = rotation_matrices(F.pad(offsets[:, 3:6], (1, 0), value=1.0))
        translations = offsets[:, :3]
        parts = turns, translations, self.heads, self.tails, self.edges, self.resistance
        if offsets.is_cuda or offsets.dtype != torch.float32:
            return edge_energy_torch(*parts)
        from ar4d.kernels.rigidity import EdgeEnergy

        return EdgeEnergy.apply(*parts)


def edge_energy_torch(
    turns: Tensor, translations: Tensor, heads: Tensor, tails: Tensor, edges: Tensor, resistance: Tensor
) -> Tensor:
    """Σ ω |(edge + t_b - t_a) - R_a edge|² in plain torch, on any device and in any precision."""
    moved = edges + translations[tails] - translations[heads]
    turned = (turns[heads] @ edges[..., None]).squeeze(-1)
    return (resistance * (moved - turned).square().sum(-1)).sum()


def node_exposure(exposed: Tensor, indices: Tensor, weights: Tensor, num_nodes: int) -> Tensor:
    """How far the clip sees each node: the weighted mean over the Gaussians that follow it.

    Args:
        exposed: [N] of the Gaussians.
        indices, weights: [N, K], as `NodeField` has them.

    Returns:
        [M] in [0, 1]; 0 for a node that no Gaussian follows.
    """
    nodes, shares = indices.long().flatten(), weights.flatten()
    total = shares.new_zeros(num_nodes).index_add_(0, nodes, shares)
    each = exposed.repeat_interleave(indices.shape[1])
    return shares.new_zeros(num_nodes).index_add_(0, nodes, shares * each) / total.clamp_min(1e-8)


def _edges(nodes: Tensor) -> Tensor:
    """[E, 2] (a, b), each once: a's nearest nodes, and the nearest of the coarse subset."""
    count = len(nodes)
    distances = torch.cdist(nodes, nodes)
    distances.fill_diagonal_(torch.inf)
    near = distances.topk(min(NEAREST, count - 1), largest=False).indices
    far = distances[:, :COARSE].topk(min(ANCHORS, COARSE, count - 1), largest=False).indices
    tails = torch.cat([near, far], dim=1)
    heads = torch.arange(count, device=nodes.device)[:, None].expand_as(tails)
    proper = heads != tails  # a coarse node among few is its own neighbour
    keys = torch.unique(heads[proper] * count + tails[proper])  # unique rows would take ten times as long
    return torch.stack([keys // count, keys % count], dim=-1)
