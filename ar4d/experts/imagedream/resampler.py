"""The picture's features become a few tokens that the U-Net attends to.

A perceiver of four layers (IP-Adapter-Plus); module names are the published checkpoint's keys.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LAYERS = 4
HEADS = 12
HEAD_CHANNELS = 64


class PerceiverAttention(nn.Module):
    """Latents look at the picture's features and at themselves."""

    def __init__(self, channels: int):
        super().__init__()
        inner = HEADS * HEAD_CHANNELS
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_kv = nn.Linear(channels, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, channels, bias=False)

    def forward(self, features: Tensor, latents: Tensor) -> Tensor:  # [B, F, C], [B, Q, C]
        features, latents = self.norm1(features), self.norm2(latents)
        q = self.to_q(latents)
        k, v = self.to_kv(torch.cat([features, latents], dim=1)).chunk(2, dim=-1)
        q, k, v = (x.unflatten(-1, (HEADS, HEAD_CHANNELS)).transpose(1, 2) for x in (q, k, v))
        scale = HEAD_CHANNELS**-0.25  # on both sides: half precision would overflow on one
        weights = (q * scale) @ (k * scale).mT
        weights = weights.float().softmax(-1).to(weights.dtype)
        return self.to_out((weights @ v).transpose(1, 2).flatten(2))


def feed_forward(channels: int) -> nn.Sequential:
    inner = 4 * channels
    return nn.Sequential(
        nn.LayerNorm(channels),
        nn.Linear(channels, inner, bias=False),
        nn.GELU(),
        nn.Linear(inner, channels, bias=False),
    )


class Resampler(nn.Module):
    def __init__(self, in_channels: int, channels: int, num_tokens: int):
        super().__init__()
        self.latents = nn.Parameter(torch.zeros(1, num_tokens, channels))
        self.proj_in = nn.Linear(in_channels, channels)
        self.proj_out = nn.Linear(channels, channels)
        self.norm_out = nn.LayerNorm(channels)
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(channels), feed_forward(channels)]) for _ in range(LAYERS)
        )

    def forward(self, features: Tensor) -> Tensor:
        """[B, F, in_channels] features become [B, num_tokens, channels]."""
        latents = self.latents.expand(features.shape[0], -1, -1)
        features = self.proj_in(features)
        for attention, mlp in self.layers:  # pyright: ignore[reportGeneralTypeIssues]
            latents = attention(features, latents) + latents
            latents = mlp(latents) + latents
        return self.norm_out(self.proj_out(latents))
