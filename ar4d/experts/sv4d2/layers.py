"""The residual block of SV4D 2.0: a picture's own, then one along all pictures of a half, then a blend.

Module names are the published checkpoint's keys. All GroupNorms have 32 groups and an epsilon of 1e-5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ar4d.experts.imagedream.unet import group_norm


@dataclass(frozen=True)
class Condition:
    """What every layer may look at. Rows are (half, frame, view): (b·T + t)·V + v."""

    embedding: Tensor  # [B*T*V, E] of the noise level and the camera: time_embed + label_emb
    clip: Tensor  # [B, T, context_dim], one token per input frame
    reference: Tensor  # [B, V, 4, h, w], latents of the views at the pass's first frame, or zeros

    @property
    def grid(self) -> tuple[int, int, int]:
        """B, T, V."""
        batch, frames = self.clip.shape[:2]
        return batch, frames, self.reference.shape[1]


class Conditioned(nn.Module):
    """A layer that takes the condition as well."""


class Stage(nn.Sequential):
    """Layers in a row; those that are `Conditioned` get the condition."""

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        for layer in self:
            x = layer(x, condition) if isinstance(layer, Conditioned) else layer(x)
        return x


class Blend(nn.Module):
    """α·kept + (1 - α)·changed with α = sigmoid(`mix_factor`), one learned number."""

    def __init__(self) -> None:
        super().__init__()
        self.mix_factor = nn.Parameter(torch.zeros(1))

    def forward(self, kept: Tensor, changed: Tensor) -> Tensor:
        return torch.lerp(changed, kept, self.mix_factor.sigmoid().to(kept.dtype))


class TemporalBlock(nn.Module):
    """A residual block along the rows of a half: kernel 3 × 1 × 1, zeros beyond both ends.

    Its axis holds all T·V pictures in row order, so that neighbours are neighbouring views, and its norms
    take their statistics over all of them.
    """

    def __init__(self, channels: int, embedding_channels: int):
        super().__init__()

        def along_rows() -> nn.Conv3d:
            return nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))

        self.in_layers = nn.Sequential(group_norm(channels), nn.SiLU(inplace=True), along_rows())
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding_channels, channels))
        self.out_layers = nn.Sequential(
            group_norm(channels), nn.SiLU(inplace=True), nn.Dropout(0.0), along_rows()
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:  # [B, C, T*V, H, W], [B, T*V, E]
        h = self.in_layers(x) + self.emb_layers(embedding).mT[..., None, None]
        return self.out_layers(h) + x


class ResBlock(Conditioned):
    """x' = skip(x) + conv(SiLU(norm(conv(SiLU(norm(x))) + linear(SiLU(emb))))), blended with temporal(x')."""

    def __init__(self, in_channels: int, out_channels: int, embedding_channels: int):
        super().__init__()
        self.in_layers = nn.Sequential(
            group_norm(in_channels), nn.SiLU(inplace=True), nn.Conv2d(in_channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding_channels, out_channels))
        self.out_layers = nn.Sequential(
            group_norm(out_channels),
            nn.SiLU(inplace=True),
            nn.Dropout(0.0),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        same = in_channels == out_channels
        self.skip_connection = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)
        self.time_mix_blocks = TemporalBlock(out_channels, embedding_channels)
        self.time_mixer = Blend()

    def forward(self, x: Tensor, condition: Condition) -> Tensor:  # [B*T*V, C, H, W]
        h = self.in_layers(x) + self.emb_layers(condition.embedding)[..., None, None]
        x = self.skip_connection(x) + self.out_layers(h)
        halves = condition.grid[0]
        rows = x.unflatten(0, (halves, -1)).transpose(1, 2)  # [B, C, T*V, H, W]
        mixed = self.time_mix_blocks(rows, condition.embedding.unflatten(0, (halves, -1)))
        return self.time_mixer(rows, mixed).transpose(1, 2).flatten(0, 1)
