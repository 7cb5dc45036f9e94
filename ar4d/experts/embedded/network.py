"""The embedded expert's network: from a picture to the depth of the front and the matter behind it.

The whole object projects into its outline in the reference view, so it can be described along that view's
rays: `front_depth`, where a ray first meets the object; `occupancy_logits`, whether there is matter at fixed
distances behind that; and `colors` at some of these distances. All maps are aligned with the picture's
pixels, which suits convolutions, and they are trained without a rasteriser, which allows a hundred times as
many examples per hour. Further views enter as the visual hull that their outlines leave along the reference
rays. Where a plane of symmetry is known (see `facing.py`), the mirrored picture enters as a plane sweep.
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

IN_SIZE = 128
"""Width and height of the input pictures."""
OUT_SIZE = 64
"""Width and height of the predicted maps."""
GROUPS = 8
"""Groups of every group normalisation."""
HEAD_DIM = 32
"""Channels of an attention head."""
DEPTH_RANGE = 0.65
"""World units before and behind the origin in which the front may lie."""
HULL_BINS = 12
"""Depths at which the visual hull of the side views is sampled."""
OCCUPANCY_OFFSETS = (
    0.01, 0.02, 0.035, 0.05, 0.07, 0.09, 0.11, 0.135, 0.16, 0.19,
    0.22, 0.26, 0.30, 0.35, 0.41, 0.48, 0.56, 0.66, 0.78, 0.92,
)  # fmt: skip
"""Distances behind the front, in world units along the optical axis, at which occupancy is predicted."""
COLOR_OFFSETS = (0.0, 0.05, 0.15, 0.35, 0.8)
"""Distances behind the front at which a colour is given; the first one's is the picture's own."""
PICTURE_CHANNELS = 6  # colour on white, alpha, image coordinates
EXTRA_CHANNELS = 5 + HULL_BINS + 1  # the view from behind with its mask, the hull with its mask


@dataclass(frozen=True)
class NetworkConfig:
    """Widths of the levels of 64, 32, 16 and 8 pixels, and the number of attention blocks at the last."""

    widths: tuple[int, int, int, int] = (40, 80, 160, 320)
    blocks: int = 2


@dataclass(frozen=True)
class Prediction:
    """The object along the rays of OUT_SIZE² pixels; values outside the object's outline mean nothing."""

    front_depth: Tensor  # [B, H, W] world units along the optical axis
    occupancy_logits: Tensor  # [B, len(OCCUPANCY_OFFSETS), H, W]
    colors: Tensor  # [B, len(COLOR_OFFSETS), 3, H, W] in [0, 1]


class ResBlock(nn.Module):
    """A pre-activation residual block of two 3×3 convolutions."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, out_channels, H, W] of features [B, in_channels, H, W]."""
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

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, C, H, W] of features of the same shape."""
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm1(tokens)).unflatten(-1, (3, -1, HEAD_DIM)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) * HEAD_DIM**-0.5).softmax(-1)
        tokens = tokens + self.proj((weights.to(v.dtype) @ v).transpose(1, 2).flatten(2))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).unflatten(2, x.shape[-2:])


class Encoder(nn.Module):
    """An encoder from 64² to 8² pixels, with attention at the bottleneck."""

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
    """The reconstruction network: a U-Net from the channels of `encode` to a `Prediction`.

    The layers of the mirrored picture and the head start at zero, so that training starts from a flat front
    at the origin's depth in the picture's own colours.
    """

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
        self.head = nn.Conv2d(2 * c64, 1 + len(OCCUPANCY_OFFSETS) + 3 * (len(COLOR_OFFSETS) - 1), 1)
        for layer in (self.mirror64, self.mirror32, self.head):
            nn.init.zeros_(layer.weight)  # pyright: ignore[reportArgumentType]
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, inputs: Tensor) -> Prediction:
        """Predict the object from inputs [B, C, OUT_SIZE, OUT_SIZE] made by `encode`."""
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
        bins = len(OCCUPANCY_OFFSETS)
        input_color = _input_color(inputs.float())
        residual = 2 * out[:, 1 + bins :].unflatten(1, (-1, 3))
        colors = torch.sigmoid(torch.logit(input_color.clamp(0.02, 0.98))[:, None] + residual)
        return Prediction(
            front_depth=RADIUS + DEPTH_RANGE * torch.tanh(out[:, 0]),
            occupancy_logits=4 * out[:, 1 : 1 + bins],
            colors=torch.cat([input_color[:, None], colors], dim=1),
        )


def _input_color(inputs: Tensor) -> Tensor:
    """Straight colour [B, 3, H, W] of the picture, recovered from the first channels of `encode`."""
    picture = inputs[:, : 4 * PICTURE_CHANNELS].unflatten(1, (PICTURE_CHANNELS, 4)).mean(2)
    alpha = picture[:, 3:4]
    return ((picture[:, :3] - (1 - alpha)) / alpha.clamp_min(0.05)).clamp(0, 1)


def encode(rgba: Tensor, view_mask: Tensor, planes: Tensor | None = None) -> Tensor:
    """Encode four orthogonal views as the network's input.

    Args:
        rgba: [B, 4, 4, IN_SIZE, IN_SIZE] in [0, 1], premultiplied, at azimuths 0, 90, 180, 270.
        view_mask: [B, 4] bool, the views to use; the first is always used.
        planes: [B, 4] of symmetry, 0 where none is known; by default none is known.

    Returns:
        [B, C, OUT_SIZE, OUT_SIZE].
    """
    front = rgba[:, 0]
    mask = view_mask[:, :, None, None, None].to(rgba.dtype)
    small = F.avg_pool2d(rgba[:, 2], IN_SIZE // OUT_SIZE)
    back = (torch.cat([small, torch.ones_like(small[:, :1])], dim=1) * mask[:, 2]).flip(-1)
    if planes is None:
        planes = rgba.new_zeros(len(rgba), 4)
    mirror = mirrored_sweep(F.avg_pool2d(front, IN_SIZE // OUT_SIZE), planes)
    return torch.cat([encode_picture(front), back, _visual_hull(rgba, view_mask), mirror], dim=1)


def encode_picture(front: Tensor) -> Tensor:
    """Encode premultiplied pictures [B, 4, IN_SIZE, IN_SIZE].

    Returns:
        [B, 4 PICTURE_CHANNELS, OUT_SIZE, OUT_SIZE].
    """
    line = (torch.arange(IN_SIZE, device=front.device) + 0.5) / IN_SIZE * 2 - 1
    place = torch.stack(torch.meshgrid(line, line, indexing="xy")).expand(len(front), -1, -1, -1)
    picture = torch.cat([front[:, :3] + 1 - front[:, 3:], front[:, 3:], place], dim=1)
    return F.pixel_unshuffle(picture, IN_SIZE // OUT_SIZE)


def _visual_hull(rgba: Tensor, view_mask: Tensor) -> Tensor:
    """Least alpha of the used side views at points of the reference rays, and whether any side view is used.

    Returns:
        [B, HULL_BINS + 1, OUT_SIZE, OUT_SIZE].
    """
    line = torch.linspace(-DEPTH_RANGE, DEPTH_RANGE, HULL_BINS, device=rgba.device) + RADIUS
    points = frustum_points(line, OUT_SIZE)  # [HULL_BINS, H, W, 3]
    sides = (1, 3)
    hull = torch.ones((), device=rgba.device)
    for view in sides:
        seen = sample_view(rgba[:, view, 3], points, view)  # [B, HULL_BINS, H, W]
        hull = torch.where(view_mask[:, view, None, None, None], torch.minimum(hull, seen), hull)
    any_side = view_mask[:, sides].any(1)[:, None, None, None].to(rgba.dtype)
    return torch.cat([hull * any_side, any_side.expand(-1, 1, OUT_SIZE, OUT_SIZE)], dim=1)
