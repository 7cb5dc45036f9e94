"""The transformers inside the U-Net: attention across all views, then to text and picture.

Module names are the published checkpoints' keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Condition:
    """What every layer may look at. Rows are (sample, view)."""

    embedding: Tensor  # [B*V, 4*model_channels] of the timestep and the camera
    text: Tensor  # [B*V, T, context_dim]
    image: Tensor | None  # [B*V, ip_dim, context_dim]
    views: int  # V, the picture's own row among them


class Conditioned(nn.Module):
    """A layer that is called with the condition."""


def attend(q: Tensor, k: Tensor, v: Tensor, head_channels: int) -> Tensor:  # [B, L, C] each
    q, k, v = (x.unflatten(-1, (-1, head_channels)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def output_projection(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, channels), nn.Dropout(0.0))


class SelfAttention(nn.Module):
    def __init__(self, channels: int, head_channels: int):
        super().__init__()
        self.head_channels = head_channels
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = output_projection(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.to_out(attend(self.to_q(x), self.to_k(x), self.to_v(x), self.head_channels))


class CrossAttention(nn.Module):
    """Attention to the text and, apart from it, to the picture's tokens; the two are added."""

    def __init__(self, channels: int, context_channels: int, head_channels: int, *, image: bool):
        super().__init__()
        self.head_channels = head_channels
        if image:
            self.to_k_ip = nn.Linear(context_channels, channels, bias=False)
            self.to_v_ip = nn.Linear(context_channels, channels, bias=False)
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_channels, channels, bias=False)
        self.to_v = nn.Linear(context_channels, channels, bias=False)
        self.to_out = output_projection(channels)

    def forward(self, x: Tensor, text: Tensor, image: Tensor | None) -> Tensor:
        q = self.to_q(x)
        out = attend(q, self.to_k(text), self.to_v(text), self.head_channels)
        if image is not None:
            out = out + attend(q, self.to_k_ip(image), self.to_v_ip(image), self.head_channels)
        return self.to_out(out)


class GatedLinear(nn.Module):
    """GEGLU: the first half of the projection times the GELU of the second."""

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.proj = nn.Linear(channels, 2 * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        inner = 4 * channels
        self.net = nn.Sequential(GatedLinear(channels, inner), nn.Dropout(0.0), nn.Linear(inner, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class TransformerBlock(nn.Module):
    def __init__(self, channels: int, context_channels: int, head_channels: int, *, image: bool):
        super().__init__()
        self.attn1 = SelfAttention(channels, head_channels)
        self.ff = FeedForward(channels)
        self.attn2 = CrossAttention(channels, context_channels, head_channels, image=image)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:  # [B*V, H*W, C]
        rows, pixels = x.shape[:2]
        together = x.reshape(rows // condition.views, condition.views * pixels, -1)
        x = (self.attn1(self.norm1(together)) + together).reshape(rows, pixels, -1)
        x = self.attn2(self.norm2(x), condition.text, condition.image) + x
        return self.ff(self.norm3(x)) + x


class SpatialTransformer(Conditioned):
    def __init__(self, channels: int, context_channels: int, head_channels: int, depth: int, *, image: bool):
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, context_channels, head_channels, image=image) for _ in range(depth)
        )
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:  # [B*V, C, H, W]
        height, width = x.shape[-2:]
        tokens = self.proj_in(self.norm(x).flatten(2).mT)  # [B*V, H*W, C]
        for block in self.transformer_blocks:
            tokens = block(tokens, condition)
        return self.proj_out(tokens).mT.unflatten(-1, (height, width)) + x
