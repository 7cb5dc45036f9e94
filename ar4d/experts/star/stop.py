"""STOP, the spatial-temporal offset predictor: what changes between the times of an object.

Queries are static Gaussian features, keys and values the continuous tokens of all times of the same view.
The attended features are refined in three dimensions and split into an offset of every Gaussian parameter.

Defaults of this project: a query sees all places of its view, and times are marked by their place in the
window; two 3×3×3 convolutions with a residual stand for the paper's 3D U-Net; and with canonical Gaussians
the first time's offset is subtracted from all, so that ΔG_0 = 0 exactly.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.star.blocks import Block, sinusoids
from ar4d.experts.star.config import CodecConfig
from ar4d.experts.star.splats import OFFSET


class OffsetPredictor(nn.Module):
    """Offsets ΔG of each time's Gaussians."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        width, refine = config.width, config.refine_width
        self.time = nn.Linear(width, width)
        self.attend = Block(width, config.heads)
        self.conv1 = nn.Conv3d(width, refine, 3, padding=1)
        self.conv2 = nn.Conv3d(refine, width, 3, padding=1)
        self.norm = nn.RMSNorm(width)
        self.offset = nn.Linear(width, OFFSET * config.splats**2)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Raw offsets [B, T, V, N, OFFSET · splats²].

        Args:
            features: [B, T, V, N, width] static Gaussian features.
            tokens: [B, T, V, N, width] continuous tokens.
        """
        config, (batch, times, views) = self.config, features.shape[:3]
        asked = features
        if config.stop:
            place = torch.arange(times, device=features.device)
            marks = self.time(sinusoids(place, config.width).to(features.dtype))[:, None, None]
            level = F.rms_norm(tokens, tokens.shape[-1:])  # else the attention is saturated from the start
            query, memory = (
                (x + marks).transpose(1, 2).flatten(0, 1).flatten(1, 2) for x in (features, level)
            )
            x = self.attend(query, memory).unflatten(1, (times, config.side, config.side))
            volume = x.permute(0, 4, 1, 2, 3)
            refined = volume + self.conv2(F.silu(self.conv1(volume)))
            asked = refined.permute(0, 2, 3, 4, 1).flatten(2, 3).unflatten(0, (batch, views)).transpose(1, 2)
        offsets = self.offset(self.norm(asked))
        if config.canonical == "each":
            return offsets if config.stop else torch.zeros_like(offsets)
        return offsets - offsets[:, :1]
