"""Transformer blocks: RMS norms, SwiGLU, rotary positions, cached keys (LlamaGen's parts)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

START = 0.1
"""Share of the usual size with which the last layer of a residual branch starts: short trainings get further
when a network starts almost as its shortcuts alone."""
ROTARY_BASE = 100.0
"""Largest wavelength of the rotary positions, over 2π: pictures have 8 to 16 tokens a side."""


class Cache:
    """Keys and values of the positions that an attention has seen."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def extended(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values [B, H, S, C], these ones included, which are remembered."""
        if self.keys is not None and self.values is not None:
            keys, values = torch.cat([self.keys, keys], 2), torch.cat([self.values, values], 2)
        self.keys, self.values = keys, values
        return keys, values


class Attention(nn.Module):
    """Multi-head attention of `x` to itself or to a memory."""

    def __init__(self, width: int, heads: int, out: int | None = None) -> None:
        """
        Args:
            width: of the input.
            out: width of the output and of the heads together; by default the input's.
        """
        super().__init__()
        out = width if out is None else out
        self.heads = heads
        self.query = nn.Linear(width, out)
        self.key_value = nn.Linear(width, 2 * out)
        self.out = nn.Linear(out, out)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        mask: Tensor | None = None,
        turns: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """[B, N, out] for x [B, N, width].

        Args:
            memory: [B, M, width] to attend to, in place of x.
            mask: [N, M] bool, what may be attended to; by default everything.
            turns: [N, C / 2] rotary angles of x; only for attention to itself.
            cache: of earlier positions, which are attended to as well.
        """
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        both = self.key_value(x if memory is None else memory).unflatten(-1, (2, self.heads, -1))
        key, value = both.permute(2, 0, 3, 1, 4)
        if turns is not None:
            query, key = rotate(query, turns), rotate(key, turns)
        if cache is not None:
            key, value = cache.extended(key, value)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out(found.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm attention and SwiGLU."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        hidden = 8 * width // 3 // 16 * 16
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.attention = Attention(width, heads)
        self.gate_up = nn.Linear(width, 2 * hidden)
        self.down = nn.Linear(hidden, width)
        _start_small(self.attention.out, self.down)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        mask: Tensor | None = None,
        turns: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """[B, N, width] for x of the same shape; see `Attention.forward`."""
        x = x + self.dropout(self.attention(self.norm1(x), memory, mask, turns, cache))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        return x + self.dropout(self.down(F.silu(gate) * up))


class FactorizedProjection(nn.Module):
    """UniTok's attention projection: a block whose attention changes the width, then a GeGLU MLP."""

    def __init__(self, width: int, out: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(out)
        self.attention = Attention(width, heads, out)
        self.shortcut = nn.Linear(width, out)
        self.gate_up = nn.Linear(out, 4 * out)
        self.down = nn.Linear(2 * out, out)
        _start_small(self.attention.out, self.down)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, out] for x [B, N, width]."""
        x = self.shortcut(x) + self.attention(self.norm1(x))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.gelu(gate) * up)


@torch.no_grad()
def _start_small(*layers: nn.Linear) -> None:
    for layer in layers:
        layer.weight.mul_(START)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Rotates pairs of channels of x [B, H, N, C] by angles [N, C / 2]."""
    a, b = x.chunk(2, -1)
    cos, sin = turns.cos().to(x.dtype), turns.sin().to(x.dtype)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def rotary_angles(places: Tensor, channels: int) -> Tensor:
    """Angles [N, channels / 2] for places [N, 2]: half of them turn with the row, half with the column."""
    count = channels // 4
    steps = torch.arange(count, device=places.device, dtype=torch.float32) / max(count, 1)
    frequencies = ROTARY_BASE**-steps
    return torch.cat([places[:, :1] * frequencies, places[:, 1:] * frequencies], -1)


def sinusoids(position: Tensor, width: int) -> Tensor:
    """Sines and cosines [..., width] of positions [...], with wavelengths from 2π to about 600."""
    steps = torch.arange(width // 2, device=position.device, dtype=torch.float32) / (width // 2)
    angles = position.float()[..., None] * ROTARY_BASE**-steps
    return torch.cat([angles.sin(), angles.cos()], -1)
