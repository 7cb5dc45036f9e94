"""Gaussians along the rays of the views' pixels, and their offsets.

The paper does not say how its decoder places Gaussians. Here each lies on the ray of a pixel of a view, at a
predicted depth. An offset changes every parameter: the position in the view's own axes, the rotation, the
logarithms of the scales, and the logits of opacity and colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics
from ar4d.experts.star.config import CodecConfig
from ar4d.experts.star.rays import turns_to_world, view_rays
from ar4d.gaussians import Gaussians, multiply_quaternions, quaternions

STATIC = 12
"""Raw values of a Gaussian: depth 1, scales 3, rotation 4, opacity 1, colour 3."""
OFFSET = 14
"""Raw values of an offset: position 3, scales 3, rotation 4, opacity 1, colour 3."""
PARTS = (3, 3, 4, 1, 3)
DEPTH_RANGE = 0.65
"""World units before and behind the origin in which a Gaussian may lie."""
SCALE_RANGE = 1.5
"""Largest change of a scale's logarithm against half a pixel's width."""
REACH = 0.25
"""World units of an offset's position per raw unit."""
START_OPACITY_LOGIT = -1.0


@dataclass(frozen=True)
class Splats:
    """Gaussians of S sets before activation; offsets are added to these values."""

    means: Tensor  # [S, N, 3] world units
    log_scales: Tensor  # [S, N, 3]
    quats: Tensor  # [S, N, 4] in the world, not normalised
    opacity_logits: Tensor  # [S, N]
    color_logits: Tensor  # [S, N, 3]
    depths: Tensor  # [S, V, H, W] of the Gaussians from their own view, before any offset

    def of_set(self, index: int) -> Gaussians:
        """The Gaussians of one set, activated."""
        return Gaussians(
            means=self.means[index],
            quats=F.normalize(self.quats[index], dim=-1),
            scales=self.log_scales[index].exp(),
            opacities=self.opacity_logits[index].sigmoid() * 0.998 + 0.001,
            colors=self.color_logits[index].sigmoid(),
        )


def static_splats(raw: Tensor, config: CodecConfig) -> Splats:
    """Gaussians of raw values [S, V, H, W, STATIC] at the pixels of the views."""
    raw = raw.float()
    grid = raw.shape[2]
    origins, directions = view_rays(config.azimuths_deg, grid, raw.device)
    depths = RADIUS + DEPTH_RANGE * torch.tanh(raw[..., 0])
    means = origins + directions * depths[..., None]
    half = 0.5 * depths.detach() / intrinsics(grid)[0, 0].to(raw.device)  # half a pixel's width there
    log_scales = half.log()[..., None] + SCALE_RANGE * torch.tanh(raw[..., 1:4])
    turns = quaternions(turns_to_world(config.azimuths_deg, raw.device))  # [V, 4]
    ahead = raw.new_tensor([1.0, 0, 0, 0])
    quats = multiply_quaternions(turns[:, None, None].expand(raw[..., 4:8].shape), ahead + raw[..., 4:8])
    return Splats(
        means.flatten(1, 3),
        log_scales.flatten(1, 3),
        quats.flatten(1, 3),
        (raw[..., 8] + START_OPACITY_LOGIT).flatten(1, 3),
        raw[..., 9:].flatten(1, 3),
        depths,
    )


def moved(splats: Splats, offsets: Tensor, config: CodecConfig) -> Splats:
    """G* = G + ΔG: splats with raw offsets [S, V, H, W, OFFSET] added; zero offsets change no bit.

    Args:
        splats: S sets, or one that all offsets start from.
    """
    place, scale, quat, opacity, color = offsets.float().split(PARTS, -1)
    turns = turns_to_world(config.azimuths_deg, offsets.device)
    shift = REACH * torch.einsum("vij,svhwj->svhwi", turns, place).flatten(1, 3)
    views = quaternions(turns)[:, None, None].expand(quat.shape)
    return Splats(
        splats.means + shift,
        splats.log_scales + scale.flatten(1, 3),
        splats.quats + multiply_quaternions(views, quat).flatten(1, 3),
        splats.opacity_logits + opacity[..., 0].flatten(1, 3),
        splats.color_logits + color.flatten(1, 3),
        splats.depths.expand(len(offsets), *splats.depths.shape[1:]),
    )
