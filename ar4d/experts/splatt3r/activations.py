"""From what the heads predict to Gaussians, pixel by pixel (Splatt3R, Sec. 3.2; DUSt3R, arXiv 2312.14132)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ar4d.experts.splatt3r.network import RawMaps

HARMONIC = 0.5 / math.sqrt(math.pi)
"""The constant spherical harmonic: a colour is 0.5 + HARMONIC · coefficient."""
OFFSET_SHIFT = 6.0
"""Offsets start small: their length is exp(‖v‖ - 6) less its value at 0."""
LEAST_LENGTH = 1e-8


@dataclass(frozen=True, eq=False)
class PixelGaussians:
    """One Gaussian per pixel [B, H, W, …], in the first view's camera: x right, y down, z forward; metres."""

    points: Tensor  # [B, H, W, 3] of the surface, before the Gaussian's own offset
    confidence: Tensor  # [B, H, W] of the points, above 1
    means: Tensor  # [B, H, W, 3]
    scales: Tensor  # [B, H, W, 3] standard deviations
    quats: Tensor  # [B, H, W, 4] wxyz; shorter than 1 where the network gave none
    opacities: Tensor  # [B, H, W]
    colors: Tensor  # [B, H, W, 3] RGB, not clamped

    def map(self, function: Callable[[Tensor], Tensor]) -> PixelGaussians:
        """Applies `function` to every attribute."""
        return PixelGaussians(**{f.name: function(getattr(self, f.name)) for f in fields(self)})

    def join(self, other: PixelGaussians) -> PixelGaussians:
        """Both along the first axis."""
        names = [f.name for f in fields(self)]
        return PixelGaussians(**{n: torch.cat([getattr(self, n), getattr(other, n)]) for n in names})


def activate(raw: RawMaps, picture: Tensor) -> PixelGaussians:
    """Turns one view's maps into Gaussians, in float32 at least.

    Args:
        picture: [B, 3, H, W] in [0, 1], of the same view; the predicted colour is a residual to it.
    """
    kind = torch.promote_types(raw.points.dtype, torch.float32)
    xyz, confidence = raw.points.to(kind).permute(0, 2, 3, 1).split([3, 1], dim=-1)
    offset, scale, rotation, color, opacity = (
        raw.gaussians.to(kind).permute(0, 2, 3, 1).split([3, 3, 4, 3, 1], dim=-1)
    )
    points = along(xyz, torch.expm1)
    return PixelGaussians(
        points=points,
        confidence=1 + confidence[..., 0].exp(),
        means=points + along(offset, _offset_length),
        scales=scale.exp(),
        quats=(rotation / (rotation.norm(dim=-1, keepdim=True) + LEAST_LENGTH))[..., [3, 0, 1, 2]],
        opacities=opacity[..., 0].sigmoid(),
        colors=picture.to(kind).permute(0, 2, 3, 1) + HARMONIC * color,
    )


def along(vectors: Tensor, length: Callable[[Tensor], Tensor]) -> Tensor:
    """Vectors [..., 3] of the same directions, with lengths that are a function of the old ones."""
    lengths = vectors.norm(dim=-1, keepdim=True)
    return vectors / lengths.clamp_min(LEAST_LENGTH) * length(lengths)


def _offset_length(lengths: Tensor) -> Tensor:
    return (lengths - OFFSET_SHIFT).exp() - math.exp(-OFFSET_SHIFT)
