"""Splatt3R's network: MASt3R (arXiv 2406.09756) with a second head per view, for Gaussians.

Module names are the published checkpoint's keys without their prefix `encoder.`. What plays no part in
making Gaussians is left out: descriptors, the mask token, one unused unit of each DPT.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ar4d.experts.splatt3r.blocks import DecoderBlock, EncoderBlock, layer_norm
from ar4d.experts.splatt3r.config import (
    GAUSSIAN_CHANNELS,
    HOOKS,
    PATCH,
    POINT_CHANNELS,
    Splatt3rConfig,
)
from ar4d.experts.splatt3r.dpt import Dpt
from ar4d.experts.splatt3r.rope import Rope


@dataclass(frozen=True, eq=False)
class RawMaps:
    """What one view's heads predict, before activations."""

    points: Tensor  # [B, 4, H, W] xyz, confidence
    gaussians: Tensor  # [B, 14, H, W] offset 3, scale 3, rotation 4, colour 3, opacity 1


class PatchEmbed(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, stride=PATCH)

    def forward(self, pictures: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, h·w, C], row by row
        return self.proj(pictures).flatten(2).transpose(1, 2)


class GaussianHead(nn.Module):
    """The published name of this head's network is doubled: `gaussian_dpt.dpt`."""

    def __init__(self, config: Splatt3rConfig):
        super().__init__()
        self.dpt = Dpt(config, GAUSSIAN_CHANNELS)


class ViewHead(nn.Module):
    """The two heads of one view."""

    def __init__(self, config: Splatt3rConfig):
        super().__init__()
        self.dpt = Dpt(config, POINT_CHANNELS)
        self.gaussian_dpt = GaussianHead(config)

    def forward(self, tokens: list[Tensor], grid: tuple[int, int]) -> RawMaps:
        """
        Args:
            tokens: the encoder's output, then that of every decoder block.
        """
        hooked = [tokens[hook] for hook in HOOKS]
        return RawMaps(self.dpt(hooked, grid), self.gaussian_dpt.dpt(hooked, grid))


class Splatt3rNetwork(nn.Module):
    """Two views in, two maps of Gaussians out, both in the first view's camera."""

    def __init__(self, config: Splatt3rConfig):
        super().__init__()
        self.config = config
        wide, narrow, ratio = config.enc_embed_dim, config.dec_embed_dim, config.mlp_ratio
        self.patch_embed = PatchEmbed(wide)
        self.enc_blocks = nn.ModuleList(
            EncoderBlock(wide, config.enc_num_heads, ratio) for _ in range(config.enc_depth)
        )
        self.enc_norm = layer_norm(wide)
        self.decoder_embed = nn.Linear(wide, narrow)
        self.dec_blocks = self._decoder()
        self.dec_norm = layer_norm(narrow)
        self.dec_blocks2 = self._decoder()
        self.downstream_head1 = ViewHead(config)
        self.downstream_head2 = ViewHead(config)

    def _decoder(self) -> nn.ModuleList:
        c = self.config
        return nn.ModuleList(
            DecoderBlock(c.dec_embed_dim, c.dec_num_heads, c.mlp_ratio) for _ in range(c.dec_depth)
        )

    def forward(self, first: Tensor, second: Tensor | None = None) -> tuple[RawMaps, RawMaps]:
        """Predicts the maps of both views.

        Args:
            first: [B, 3, H, W] in [0, 1], sides multiples of 16.
            second: the same size; None: the first picture again, which is then encoded once.
        """
        grid = first.shape[-2] // PATCH, first.shape[-1] // PATCH
        encoded1 = self.encode(normalized(first))
        encoded2 = encoded1 if second is None else self.encode(normalized(second))
        tokens1, tokens2 = self.decode(encoded1, encoded2, grid)
        return self.downstream_head1(tokens1, grid), self.downstream_head2(tokens2, grid)

    def encode(self, pictures: Tensor) -> Tensor:
        """Tokens [B, h·w, enc_embed_dim] of pictures [B, 3, H, W] in [-1, 1]."""
        x = self.patch_embed(pictures)
        height, width = pictures.shape[-2] // PATCH, pictures.shape[-1] // PATCH
        rope = Rope.grid(height, width, self.config.enc_embed_dim // self.config.enc_num_heads, x)
        for block in self.enc_blocks:
            x = block(x, rope)
        return self.enc_norm(x)

    def decode(
        self, encoded1: Tensor, encoded2: Tensor, grid: tuple[int, int]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """For each view its encoded tokens, then the output of every decoder block, the last one normed.

        In each layer, both blocks see the other view's tokens as the layer before left them.
        """
        x1, x2 = self.decoder_embed(encoded1), self.decoder_embed(encoded2)
        rope = Rope.grid(*grid, self.config.dec_embed_dim // self.config.dec_num_heads, x1)
        tokens1, tokens2 = [encoded1], [encoded2]
        for block1, block2 in zip(self.dec_blocks, self.dec_blocks2, strict=True):
            x1, x2 = block1(x1, x2, rope), block2(x2, x1, rope)
            tokens1.append(x1)
            tokens2.append(x2)
        tokens1[-1], tokens2[-1] = self.dec_norm(x1), self.dec_norm(x2)
        return tokens1, tokens2


def normalized(pictures: Tensor) -> Tensor:
    """[0, 1] to [-1, 1], mean and deviation 0.5 as MASt3R was trained."""
    return (pictures - 0.5) / 0.5
