"""The dense prediction head (DPT, Ranftl et al., arXiv 2103.13413) as CroCo and DUSt3R configure it.

Tokens of four depths become maps of four sizes, which are fused from the coarsest to the finest and
predicted from per pixel. All upsampling is bilinear with aligned corners. Module names are the
checkpoint's keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.splatt3r.config import Splatt3rConfig


def upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def conv3(in_channels: int, out_channels: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=bias)


class ResidualUnit(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = conv3(channels, channels)
        self.conv2 = conv3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.conv1(F.relu(x)))) + x


class Fusion(nn.Module):
    """Adds a finer level to what came from the coarser ones, and doubles the size."""

    def __init__(self, channels: int, *, innermost: bool):
        super().__init__()
        self.out_conv = nn.Conv2d(channels, channels, 1)
        if not innermost:  # the checkpoint holds this unit there too, and nothing runs it
            self.resConfUnit1 = ResidualUnit(channels)
        self.resConfUnit2 = ResidualUnit(channels)

    def forward(self, x: Tensor, finer: Tensor | None = None) -> Tensor:
        if finer is not None:
            x = x + self.resConfUnit1(finer)
        # The published order is the reverse. A 1×1 convolution commutes with the interpolation, whose
        # weights sum to 1, and is four times cheaper before it.
        return upsample(self.out_conv(self.resConfUnit2(x)))


class Scratch(nn.Module):
    """What was trained from scratch in DPT: one width for all levels, and their fusion."""

    def __init__(self, config: Splatt3rConfig):
        super().__init__()
        width, (first, second, third, fourth) = config.dpt_feature_dim, config.dpt_layer_dims
        self.layer1_rn = conv3(first, width, bias=False)
        self.layer2_rn = conv3(second, width, bias=False)
        self.layer3_rn = conv3(third, width, bias=False)
        self.layer4_rn = conv3(fourth, width, bias=False)
        self.refinenet1 = Fusion(width, innermost=False)
        self.refinenet2 = Fusion(width, innermost=False)
        self.refinenet3 = Fusion(width, innermost=False)
        self.refinenet4 = Fusion(width, innermost=True)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Fuses maps at 4, 2, 1 and 1/2 times the tokens' grid into one at 8 times."""
        first, second, third, fourth = levels
        third = self.layer3_rn(third)
        height, width = third.shape[-2:]  # the coarsest level is rounded up where a side is odd
        x = self.refinenet4(self.layer4_rn(fourth))[..., :height, :width]
        x = self.refinenet3(x, third)
        x = self.refinenet2(x, self.layer2_rn(second))
        return self.refinenet1(x, self.layer1_rn(first))


class Dpt(nn.Module):
    """Tokens of the encoder and of three decoder blocks become a map of the picture's size."""

    def __init__(self, config: Splatt3rConfig, out_channels: int):
        super().__init__()
        first, second, third, fourth = config.dpt_layer_dims
        encoded, decoded, last = config.enc_embed_dim, config.dec_embed_dim, config.dpt_last_dim
        self.scratch = Scratch(config)
        self.head = nn.Sequential(
            conv3(config.dpt_feature_dim, last),
            nn.UpsamplingBilinear2d(scale_factor=2),  # aligns corners
            conv3(last, last),
            nn.ReLU(inplace=True),
            nn.Conv2d(last, out_channels, 1),
        )
        self.act_postprocess = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(encoded, first, 1), nn.ConvTranspose2d(first, first, 4, stride=4)),
                nn.Sequential(nn.Conv2d(decoded, second, 1), nn.ConvTranspose2d(second, second, 2, stride=2)),
                nn.Sequential(nn.Conv2d(decoded, third, 1)),
                nn.Sequential(nn.Conv2d(decoded, fourth, 1), conv3(fourth, fourth, stride=2)),
            ]
        )

    def forward(self, tokens: Sequence[Tensor], grid: tuple[int, int]) -> Tensor:
        """Predicts a map.

        Args:
            tokens: four of [B, h·w, C], the encoder's first.
            grid: h and w.

        Returns:
            [B, out_channels, 16·h, 16·w].
        """
        levels = [
            process(level.transpose(1, 2).unflatten(-1, grid))
            for process, level in zip(self.act_postprocess, tokens, strict=True)
        ]
        return self.head(self.scratch(levels))
