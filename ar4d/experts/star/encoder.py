"""The encoder of the 4D VQ-VAE: picture by picture, without compression along time.

Convolutions that halve the picture, then transformer blocks over its tokens, as UniTok's ViTamin has them.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.star.blocks import Block, rotary_angles
from ar4d.experts.star.config import CodecConfig
from ar4d.experts.star.rays import token_places


class Residual(nn.Module):
    """Two 3×3 convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] for x of the same shape."""
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class Encoder(nn.Module):
    """Premultiplied pictures become vectors, one for each token."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        widths = (4, *config.stem, config.width)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in itertools.pairwise(widths)
        )
        self.fine = Residual(config.stem[-1])
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.encoder_blocks))
        self.norm = nn.RMSNorm(config.width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Vectors [B, tokens, width] of pictures [B, 4, size, size] in [0, 1]."""
        x = torch.cat([2 * (pictures[:, :3] + 1 - pictures[:, 3:]) - 1, 2 * pictures[:, 3:] - 1], 1)
        x = x.contiguous(memory_format=torch.channels_last)
        for layer in list(self.down)[:-1]:
            x = F.silu(layer(x))
        x = self.down[-1](F.silu(self.fine(x)))
        x = x.flatten(2).transpose(1, 2)
        config = self.config
        turns = rotary_angles(token_places(config, x.device), config.width // config.heads)
        for block in self.blocks:
            x = block(x, turns=turns)
        return self.norm(x)
