"""LGM's U-Net. Module names are the published checkpoints' keys.

Every residual and every attention block returns (branch + skip) / √2; nothing else is scaled.
Views of one object share a batch as (object, view) rows and meet in the attention blocks only.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.lgm.config import INPUT_CHANNELS, OUTPUT_CHANNELS, VIEWS, LgmConfig

SKIP_SCALE = math.sqrt(0.5)
HEADS = 16


def group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-5)


class ResnetBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.norm1 = group_norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = group_norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return (h + self.shortcut(x)) * SKIP_SCALE


class Attention(nn.Module):
    """Multi-head self-attention; queries, keys and values come from one matrix without bias."""

    def __init__(self, channels: int):
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:  # [B, L, C]
        q, k, v = self.qkv(tokens).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)  # [B, 16, L, C/16]
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class MultiViewAttention(nn.Module):
    """Attention among all pixels of all views of an object; the norm before it is each view's own."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = group_norm(channels)
        self.attn = Attention(channels)

    def forward(self, x: Tensor) -> Tensor:  # [B*4, C, H, W]
        height, width = x.shape[-2:]
        h = self.norm(x).unflatten(0, (-1, VIEWS))  # [B, 4, C, H, W]
        h = self.attn(h.permute(0, 1, 3, 4, 2).flatten(1, 3))  # [B, 4*H*W, C]
        h = h.unflatten(1, (VIEWS, height, width)).permute(0, 1, 4, 2, 3).flatten(0, 1)
        return (h + x) * SKIP_SCALE


def attention_layers(channels: int, count: int, wanted: bool) -> nn.ModuleList:
    return nn.ModuleList(MultiViewAttention(channels) if wanted else nn.Identity() for _ in range(count))


class DownBlock(nn.Module):
    """Two residual blocks and, but for the innermost level, a convolution of stride 2."""

    LAYERS = 2

    def __init__(self, in_channels: int, out_channels: int, *, attention: bool, downsample: bool):
        super().__init__()
        inputs = [in_channels] + [out_channels] * (self.LAYERS - 1)
        self.nets = nn.ModuleList(ResnetBlock(channels, out_channels) for channels in inputs)
        self.attns = attention_layers(out_channels, self.LAYERS, attention)
        self.downsample = (
            nn.Conv2d(out_channels, out_channels, 3, stride=2, padding=1) if downsample else None
        )

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Returns the level's result and appends what the way up will want to `skips`."""
        for net, attn in zip(self.nets, self.attns, strict=True):
            x = attn(net(x))
            skips.append(x)
        if self.downsample is not None:
            x = self.downsample(x)
            skips.append(x)
        return x


class MidBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.nets = nn.ModuleList(ResnetBlock(channels, channels) for _ in range(2))
        self.attns = nn.ModuleList([MultiViewAttention(channels)])

    def forward(self, x: Tensor) -> Tensor:
        return self.nets[1](self.attns[0](self.nets[0](x)))


class UpBlock(nn.Module):
    """Three residual blocks, each on top of a skip, and an upsampling but for the last level."""

    LAYERS = 3

    def __init__(
        self,
        in_channels: int,
        skip_channels: list[int],
        out_channels: int,
        *,
        attention: bool,
        upsample: bool,
    ):
        super().__init__()
        below = [in_channels] + [out_channels] * (self.LAYERS - 1)
        self.nets = nn.ModuleList(
            ResnetBlock(channels + skip, out_channels)
            for channels, skip in zip(below, skip_channels, strict=True)
        )
        self.attns = attention_layers(out_channels, self.LAYERS, attention)
        self.upsample = nn.Conv2d(out_channels, out_channels, 3, padding=1) if upsample else None

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        for net, attn in zip(self.nets, self.attns, strict=True):
            x = attn(net(torch.cat([x, skips.pop()], dim=1)))
        if self.upsample is not None:
            x = self.upsample(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x


class UNet(nn.Module):
    """9 channels of four views in, 14 channels of a coarser map out.

    The way up is shorter than the way down: the first skips stay unused.
    """

    def __init__(self, config: LgmConfig):
        super().__init__()
        channels = config.down_channels[0]
        self.conv_in = nn.Conv2d(INPUT_CHANNELS, channels, 3, padding=1)
        skips = [channels]
        self.down_blocks = nn.ModuleList()
        innermost = len(config.down_channels) - 1
        for level, out in enumerate(config.down_channels):
            inner = level == innermost
            block = DownBlock(channels, out, attention=config.down_attention[level], downsample=not inner)
            self.down_blocks.append(block)
            skips += [out] * (DownBlock.LAYERS + (not inner))
            channels = out
        self.mid_block = MidBlock(channels)
        self.up_blocks = nn.ModuleList()
        outermost = len(config.up_channels) - 1
        for level, out in enumerate(config.up_channels):
            wanted = [skips.pop() for _ in range(UpBlock.LAYERS)]
            attention, upsample = config.up_attention[level], level != outermost
            self.up_blocks.append(UpBlock(channels, wanted, out, attention=attention, upsample=upsample))
            channels = out
        self.norm_out = group_norm(channels)
        self.conv_out = nn.Conv2d(channels, OUTPUT_CHANNELS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B*4, 9, S, S] -> [B*4, 14, s, s]
        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            x = block(x, skips)
        x = self.mid_block(x)
        for block in self.up_blocks:
            x = block(x, skips)
        return self.conv_out(F.silu(self.norm_out(x)))
