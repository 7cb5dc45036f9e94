"""The embedded expert's network: a picture becomes the depth of its front and what lies behind it.

Everything that an object has projects into its outline in the reference view. So the whole object
is told along that view's rays: `front`, the depth at which a ray meets it; `solid`, whether there
is something a distance t behind that; and colours at some such distances. All of it is aligned
with the picture's pixels, which is what convolutions are good at, and trained without a
rasteriser: a hundred times as many examples fit into the same hour. Other views of the object, where there
are any, are shown as what their outlines leave of the volume before the reference camera. So is
the mirrored picture, where a plane of symmetry is known (`facing.py` finds it).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.cameras import RADIUS
from ar4d.experts.embedded.geometry import frustum_points, sample_view
from ar4d.experts.embedded.symmetry import CHANNELS as MIRROR_CHANNELS
from ar4d.experts.embedded.symmetry import mirrored_sweep

IN_SIZE = 128  # of the picture
OUT_SIZE = 64  # of the maps
GROUPS = 8
HEAD = 32  # channels of an attention head
DEPTH_RANGE = 0.65  # world units before and behind the origin
HULL_BINS = 12
BEHIND = (
    0.01, 0.02, 0.035, 0.05, 0.07, 0.09, 0.11, 0.135, 0.16, 0.19,
    0.22, 0.26, 0.30, 0.35, 0.41, 0.48, 0.56, 0.66, 0.78, 0.92,
)  # fmt: skip
"""Distances behind the front, in world units along the optical axis, where `solid` is told."""
TINTED = (0.0, 0.05, 0.15, 0.35, 0.8)
"""Distances behind the front where a colour is told; the first is the picture's own."""
PICTURE_CHANNELS = 6  # colour on white, alpha, place
EXTRA_CHANNELS = 5 + HULL_BINS + 1  # view from behind and whether it is given, hull and whether


@dataclass(frozen=True)
class NetworkConfig:
    """Widths of the levels of 64, 32, 16 and 8 pixels, and blocks of attention at the last."""

    widths: tuple[int, int, int, int] = (40, 80, 160, 320)
    blocks: int = 2


@dataclass(frozen=True)
class Prediction:
    """What lies along the rays of OUT_SIZE² pixels; it means something where the object is."""

    front: Tensor  # [B, H, W] world units along the optical axis
    solid: Tensor  # [B, len(BEHIND), H, W] logits
    tints: Tensor  # [B, len(TINTED), 3, H, W] in [0, 1]


class ResBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    """A transformer block over all pixels of the coarsest level."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 3 * channels), nn.SiLU(), nn.Linear(3 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm1(tokens)).unflatten(-1, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) * HEAD**-0.5).softmax(-1)
        tokens = tokens + self.proj((weights.to(v.dtype) @ v).transpose(1, 2).flatten(2))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).unflatten(2, x.shape[-2:])


class Encoder(nn.Module):
    """The way down from 64 pixels to 8, and what is thought over there."""

    def __init__(self, channels: int, config: NetworkConfig) -> None:
        super().__init__()
        c64, c32, c16, c8 = config.widths
        self.stem = nn.Conv2d(channels, c64, 3, padding=1)
        self.down32 = nn.Conv2d(c64, c32, 4, stride=2, padding=1)
        self.in32 = ResBlock(c32, c32)
        self.in16 = ResBlock(c32, c16)
        self.in8 = ResBlock(c16, c8)
        self.middle = nn.Sequential(
            *(Attention(c8) for _ in range(config.blocks)), ResBlock(c8, c8), Attention(c8)
        )


class Network(Encoder):
    """Input: what `encode` makes of the views. Output: a `Prediction`."""

    def __init__(self, config: NetworkConfig = NetworkConfig()) -> None:
        super().__init__(4 * PICTURE_CHANNELS + EXTRA_CHANNELS, config)
        c64, c32, c16, c8 = config.widths
        self.mirror64 = nn.Conv2d(MIRROR_CHANNELS, c64, 3, padding=1)
        self.mirror32 = nn.Conv2d(MIRROR_CHANNELS, c32, 3, padding=1)
        self.lift16 = nn.Conv2d(c8, c16, 1)
        self.out16 = ResBlock(c16, c16)
        self.lift32 = nn.Conv2d(c16, c32, 1)
        self.out32 = ResBlock(c32, c32)
        self.lift64 = nn.Conv2d(c32, 4 * c64, 1)
        self.out64 = nn.Conv2d(2 * c64, 2 * c64, 3, padding=1)
        self.head = nn.Conv2d(2 * c64, 1 + len(BEHIND) + 3 * (len(TINTED) - 1), 1)
        for layer in (self.mirror64, self.mirror32, self.head):
            nn.init.zeros_(layer.weight)  # pyright: ignore[reportArgumentType]
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, inputs: Tensor) -> Prediction:  # [B, C, OUT_SIZE, OUT_SIZE]
        x = inputs.contiguous(memory_format=torch.channels_last)
        views, mirror = x.split([x.shape[1] - MIRROR_CHANNELS, MIRROR_CHANNELS], 1)
        h64 = F.silu(self.stem(views) + self.mirror64(mirror))
        h32 = self.in32(self.down32(h64) + self.mirror32(F.avg_pool2d(mirror, 2)))
        h16 = self.in16(F.avg_pool2d(h32, 2))
        h8 = self.middle(self.in8(F.avg_pool2d(h16, 2)))
        h16 = self.out16(h16 + F.interpolate(self.lift16(h8), scale_factor=2.0, mode="nearest"))
        h32 = self.out32(h32 + F.interpolate(self.lift32(h16), scale_factor=2.0, mode="nearest"))
        h64 = torch.cat([F.pixel_shuffle(self.lift64(h32), 2), h64], dim=1)
        out = self.head(F.silu(self.out64(F.silu(h64)))).float()
        own = _own_colour(inputs.float())
        tints = torch.sigmoid(
            torch.logit(own.clamp(0.02, 0.98))[:, None] + 2 * out[:, 1 + len(BEHIND) :].unflatten(1, (-1, 3))
        )
        return Prediction(
            front=RADIUS + DEPTH_RANGE * torch.tanh(out[:, 0]),
            solid=4 * out[:, 1 : 1 + len(BEHIND)],
            tints=torch.cat([own[:, None], tints], dim=1),
        )


def _own_colour(inputs: Tensor) -> Tensor:
    """[B, 3, H, W] straight colour of the picture, from the first channels of `encode`."""
    four = inputs[:, : 4 * PICTURE_CHANNELS].unflatten(1, (PICTURE_CHANNELS, 4)).mean(2)
    alpha = four[:, 3:4]
    return ((four[:, :3] - (1 - alpha)) / alpha.clamp_min(0.05)).clamp(0, 1)


def encode(rgba: Tensor, given: Tensor, planes: Tensor | None = None) -> Tensor:
    """What the network is shown of four orthogonal views.

    Args:
        rgba: [B, 4, 4, IN_SIZE, IN_SIZE] in [0, 1], premultiplied, at azimuths 0, 90, 180, 270.
        given: [B, 4] bool; the first is always taken as given.
        planes: [B, 4] of symmetry, 0 where none is known; by default for all.

    Returns:
        [B, C, OUT_SIZE, OUT_SIZE].
    """
    front = rgba[:, 0]
    flags = given[:, :, None, None, None].to(rgba.dtype)
    small = F.avg_pool2d(rgba[:, 2], IN_SIZE // OUT_SIZE)
    behind = (torch.cat([small, torch.ones_like(small[:, :1])], dim=1) * flags[:, 2]).flip(-1)
    if planes is None:
        planes = rgba.new_zeros(len(rgba), 4)
    mirror = mirrored_sweep(F.avg_pool2d(front, IN_SIZE // OUT_SIZE), planes)
    return torch.cat([encode_picture(front), behind, _hulls(rgba, given), mirror], dim=1)


def encode_picture(front: Tensor) -> Tensor:
    """[B, 4 PICTURE_CHANNELS, OUT_SIZE, OUT_SIZE] of premultiplied pictures [B, 4, IN_SIZE, IN_SIZE]."""
    line = (torch.arange(IN_SIZE, device=front.device) + 0.5) / IN_SIZE * 2 - 1
    place = torch.stack(torch.meshgrid(line, line, indexing="xy")).expand(len(front), -1, -1, -1)
    picture = torch.cat([front[:, :3] + 1 - front[:, 3:], front[:, 3:], place], dim=1)
    return F.pixel_unshuffle(picture, IN_SIZE // OUT_SIZE)


def _hulls(rgba: Tensor, given: Tensor) -> Tensor:
    """[B, HULL_BINS + 1, H, W]: alpha of the side views at points of the reference rays, and a flag."""
    line = torch.linspace(-DEPTH_RANGE, DEPTH_RANGE, HULL_BINS, device=rgba.device) + RADIUS
    points = frustum_points(line, OUT_SIZE)  # [HULL_BINS, H, W, 3]
    sides = (1, 3)
    hull = torch.ones((), device=rgba.device)
    for view in sides:
        seen = sample_view(rgba[:, view, 3], points, view)  # [B, HULL_BINS, H, W]
        hull = torch.where(given[:, view, None, None, None], torch.minimum(hull, seen), hull)
    told = given[:, sides].any(1)[:, None, None, None].to(rgba.dtype)
    return torch.cat([hull * told, told.expand(-1, 1, OUT_SIZE, OUT_SIZE)], dim=1)
