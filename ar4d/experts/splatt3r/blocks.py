"""Transformer blocks as CroCo v2 defines them (arXiv 2211.10408). Module names are the checkpoint's keys."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.splatt3r.config import NORM_EPS
from ar4d.experts.splatt3r.rope import Rope


def layer_norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=NORM_EPS)


def attend(q: Tensor, k: Tensor, v: Tensor, rope: Rope) -> Tensor:
    """softmax(q kᵀ / √d) v per head with turned queries and keys; [B, heads, N, d] become [B, N, heads·d]."""
    attended = F.scaled_dot_product_attention(rope.turn(q), rope.turn(k), v)
    return attended.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Self-attention; queries, keys and values come from one matrix."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, rope: Rope) -> Tensor:  # [B, N, C]
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # [B, heads, N, d]
        return self.proj(attend(q, k, v, rope))


class CrossAttention(nn.Module):
    """Attention of one view's tokens to the other's."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.projq = nn.Linear(width, width)
        self.projk = nn.Linear(width, width)
        self.projv = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, memory: Tensor, rope: Rope) -> Tensor:  # [B, N, C] each
        q, k, v = (
            projection(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection, tokens in ((self.projq, x), (self.projk, memory), (self.projv, memory))
        )
        return self.proj(attend(q, k, v, rope))


class Mlp(nn.Module):
    """Two linear layers with the exact GELU between."""

    def __init__(self, width: int, ratio: int):
        super().__init__()
        self.fc1 = nn.Linear(width, ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class EncoderBlock(nn.Module):
    """Self-attention and MLP, each behind a norm and added."""

    def __init__(self, width: int, heads: int, ratio: int):
        super().__init__()
        self.norm1 = layer_norm(width)
        self.attn = Attention(width, heads)
        self.norm2 = layer_norm(width)
        self.mlp = Mlp(width, ratio)

    def forward(self, x: Tensor, rope: Rope) -> Tensor:
        x = x + self.attn(self.norm1(x), rope)
        return x + self.mlp(self.norm2(x))


class DecoderBlock(nn.Module):
    """The same with a look at the other view between; the reader norms what it reads (`norm_y`)."""

    def __init__(self, width: int, heads: int, ratio: int):
        super().__init__()
        self.norm1 = layer_norm(width)
        self.attn = Attention(width, heads)
        self.cross_attn = CrossAttention(width, heads)
        self.norm2 = layer_norm(width)
        self.norm3 = layer_norm(width)
        self.mlp = Mlp(width, ratio)
        self.norm_y = layer_norm(width)

    def forward(self, x: Tensor, other: Tensor, rope: Rope) -> Tensor:
        x = x + self.attn(self.norm1(x), rope)
        x = x + self.cross_attn(self.norm2(x), self.norm_y(other), rope)
        return x + self.mlp(self.norm3(x))
