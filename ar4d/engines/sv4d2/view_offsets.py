"""Offsets that belong to a view, not to a time (4Real-Video, supplement, Eq. 11).

Generated views do not agree exactly. The displacement of a Gaussian in view i at time j is Δp^v_i + Δp^t_j;
any other camera sees Δp^t_j alone. The paper takes Δp^v from dense tracking of the frozen moment and keeps
it fixed. We have no such tracking: ours begins at zero and is fitted, and its mean square has a price.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ar4d.deformation import NodeField
from ar4d.gaussians import Gaussians


class ViewOffsets(nn.Module):
    """Translations [V, M, 3] of a field's nodes, one table for each generated view."""

    def __init__(self, field: NodeField, num_views: int) -> None:
        super().__init__()
        self.indices, self.weights = field.indices.long(), field.weights
        self.table = nn.Parameter(field.nodes.new_zeros(num_views, len(field.nodes), 3))

    def shifted(self, gaussians: Gaussians, view: int) -> Gaussians:
        """The Gaussians as a generated view sees them.

        Locked by `test_a_views_offsets_are_blended_and_added` (tests/engines/sv4d2/test_view_offsets.py).
        """
        shift = (self.weights[..., None] * self.table[view][self.indices]).sum(1)
        return replace(gaussians, means=gaussians.means + shift)

    def energy(self, views: list[int]) -> Tensor:
        """Mean squared offset of some views, world units squared."""
        return self.table[torch.tensor(views, device=self.table.device)].square().sum(-1).mean()
