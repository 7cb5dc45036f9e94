"""The transformer block: DiT's, modulated by noise level and context (adaLN-zero)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Attention and an MLP over sequences of tokens; at the start it passes them on unchanged."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.up, self.down = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.modulation = zero(nn.Linear(channels, 6 * channels))

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """φ(x; c), what the block adds to its input.

        Args:
            x: [R, N, C] sequences.
            context: [R, C].
            mask: [N, N] which tokens may look at which; None: all at all.
        """
        scale1, shift1, gate1, scale2, shift2, gate2 = self.modulation(context)[:, None].chunk(6, -1)
        h = modulate(x, scale1, shift1)
        q, k, v = self.qkv(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
        first = gate1 * self.proj(attended)
        h = modulate(x + first, scale2, shift2)
        return first + gate2 * self.down(F.gelu(self.up(h), approximate="tanh"))


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalised tokens, scaled and shifted."""
    return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


def zero(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """A layer whose output is 0 at the start."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def noise_features(sigma: Tensor, channels: int) -> Tensor:
    """Sines and cosines [B, channels] of noise levels [B] in [0, 1]."""
    half = channels // 2
    rates = torch.exp(-math.log(1e4) * torch.arange(half, device=sigma.device) / half)
    angles = 1000 * sigma[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], 1)
