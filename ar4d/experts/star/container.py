"""The spatial-temporal container: all tokens so far, merged into few states.

DPC-KNN (as TCFormer has it, arXiv 2204.08680) clusters the tokens by their features: ρ = exp(−mean D² to the
k nearest), δ = the least D to a denser token, and the tokens with the largest ρ·δ are the centres. A learned
score weighs the tokens of a cluster, whose weighted mean is its state; the states then attend to each other.

Defaults of this project: ρ looks at the tokens of the same time only, as the paper's subscript says, δ at all
of them; equal densities are told apart by their order instead of noise, so that a resumed run finds the same
clusters; and while there are no more tokens than states, none are merged.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.star.blocks import Block
from ar4d.experts.star.config import StarConfig


@torch.no_grad()
def density_peak_clusters(x: Tensor, count: int, neighbours: int, groups: Tensor | None = None) -> Tensor:
    """DPC-KNN.

    Args:
        x: [B, N, C] features, N ≥ count.
        count: of clusters.
        neighbours: k, the token itself included.
        groups: [N] the group of each token; density is measured within it. By default there is one group.

    Returns:
        [B, N] the cluster of each token, in [0, count). A centre belongs to its own cluster.

    Locked by `test_clusters_agree_with_a_loop_in_float64` (tests/experts/star/test_container.py).
    """
    far = torch.cdist(x.float(), x.float()) / math.sqrt(x.shape[-1])
    near = far if groups is None else far.masked_fill(groups[:, None] != groups, torch.inf)
    nearest = near.topk(min(neighbours, x.shape[1]), largest=False).values
    known = nearest.isfinite()
    square = nearest.square().masked_fill(~known, 0).sum(-1) / known.sum(-1)
    density = (-square).exp()
    order = torch.arange(x.shape[1], device=x.device)
    mine, other = density[:, :, None], density[:, None, :]
    denser = (other > mine) | ((other == mine) & (order < order[:, None]))
    largest = far.flatten(1).amax(1)[:, None, None]
    apart = torch.where(denser, far, largest).amin(-1)
    centres = (density * apart).topk(count).indices
    cluster = far.gather(1, centres[..., None].expand(-1, -1, x.shape[1])).argmin(1)
    return cluster.scatter(1, centres, torch.arange(count, device=x.device).expand(len(x), -1))


def merged(x: Tensor, score: Tensor, cluster: Tensor, count: int) -> Tensor:
    """Weighted means [B, count, C] of the clusters' tokens [B, N, C], weighted by exp(score [B, N])."""
    weight = (score - score.amax(1, keepdim=True).detach()).exp()[..., None]
    parts = torch.cat([x * weight, weight], -1)
    sums = parts.new_zeros(len(x), count, parts.shape[-1])
    sums = sums.scatter_add(1, cluster[..., None].expand(parts.shape), parts)
    return sums[..., :-1] / sums[..., -1:].clamp_min(1e-6)


class Container(nn.Module):
    """What a group is told of the earlier ones, by `StarConfig.history`."""

    def __init__(self, config: StarConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.norm = nn.LayerNorm(width)
        self.score = nn.Sequential(nn.Linear(width, width // 2), nn.SiLU(), nn.Linear(width // 2, 1))
        self.attend = Block(width, config.heads)

    def forward(self, history: Tensor, groups: Tensor) -> Tensor:
        """States [B, M, width] of a history [B, H, width] whose tokens belong to groups [H]; M may be 0."""
        kind, count = self.config.history, self.config.states
        if kind == "none":
            return history[:, :0]
        if history.shape[1] == 0:
            return history
        x = self.norm(history)
        if kind == "pooled" and x.shape[1] > count:
            x = F.adaptive_avg_pool1d(x.mT, count).mT
        elif kind == "container" and x.shape[1] > count:
            cluster = density_peak_clusters(x, count, self.config.neighbours, groups)
            x = merged(x, self.score(x)[..., 0], cluster, count)
        return self.attend(x)
