"""Synchronisation of two streams of tokens (4Real-Video, Eq. 8-10).

The paper's blocks act on a copy of the tokens along views and on another along time. After each block:

    hard:  both copies become W^v y^v + W^t y^t                                  (Eq. 8)
    soft:  (Δ^v, Δ^t) = ModLinear(y^v, y^t; σ);  y^v + Δ^v and y^t + Δ^t         (Eq. 9, 10)

The paper gives W = ½ I at the start of the hard one. Ours, where it is silent: ModLinear is one linear layer
on both copies whose input is scaled by 1 + s(σ) and whose output is shifted by b(σ), both 0 at the start; the
soft one starts as their own untrained variant, in which each copy moves towards the other by w_l = 0.1 + 0.4
l / L.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ar4d.experts.grid.blocks import zero

LEAST_SHARE, SHARE_RANGE = 0.1, 0.4


def soft_share(block: int, blocks: int) -> float:
    """w_l of block l of L: the paper's 0.1 + 0.4 l / L, with l from 0 to L."""
    return LEAST_SHARE + SHARE_RANGE * block / max(blocks - 1, 1)


class ModLinear(nn.Module):
    """A linear layer on both streams, modulated by the noise level."""

    def __init__(self, channels: int, initial: Tensor) -> None:
        """
        Args:
            initial: [outputs, 2 C] weight at the start.
        """
        super().__init__()
        outputs = len(initial)
        self.linear = nn.Linear(2 * channels, outputs)
        self.modulation = zero(nn.Linear(channels, 2 * channels + outputs))
        with torch.no_grad():
            self.linear.weight.copy_(initial)
            self.linear.bias.zero_()

    def forward(self, view: Tensor, time: Tensor, noise: Tensor) -> Tensor:
        """[B, ..., outputs] of streams [B, ..., C] and the noise level's features [B, C]."""
        both = torch.cat([view, time], -1)
        modulation = self.modulation(noise).view(len(noise), *(1,) * (view.ndim - 2), -1)
        scale, shift = modulation.split([both.shape[-1], modulation.shape[-1] - both.shape[-1]], -1)
        return self.linear(both * (1 + scale)) + shift


class HardSync(nn.Module):
    """Both streams become one weighted sum (Eq. 8).

    Locked by `test_hard_synchronisation_begins_as_the_mean` (tests/experts/grid/test_sync.py).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        eye = torch.eye(channels)
        self.mix = ModLinear(channels, torch.cat([eye, eye], 1) / 2)

    def forward(self, view: Tensor, time: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        mixed = self.mix(view, time, noise)
        return mixed, mixed


class SoftSync(nn.Module):
    """Each stream is moved by what a layer makes of both (Eq. 9, 10).

    Locked by `test_soft_synchronisation_begins_as_a_share_of_the_difference`
    (tests/experts/grid/test_sync.py).
    """

    def __init__(self, channels: int, share: float) -> None:
        super().__init__()
        eye = torch.eye(channels)
        initial = share * torch.cat([torch.cat([-eye, eye], 1), torch.cat([eye, -eye], 1)])
        self.mix = ModLinear(channels, initial)

    def forward(self, view: Tensor, time: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        delta_view, delta_time = self.mix(view, time, noise).chunk(2, -1)
        return view + delta_view, time + delta_time
