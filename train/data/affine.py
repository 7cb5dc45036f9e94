"""Pseudo-4D clips: one clip from several "views" that are affine images of it (4Real-Video, Sec. 4.3).

Every view moves as the clip does, at the same time, in any amount; only the objects in it stay flat. The path
of the views is exp of a smooth random curve in the affine maps' Lie algebra that begins at 0, so that view 0
is the clip. The paper gives no ranges; those below are ours.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from train.data.batch_rng import BatchRng
from train.data.device_constants import constant

RANGES = (0.3, 0.3, math.log(1.25), math.radians(10), math.radians(5))
"""Largest shift to the right and down (of 2, a picture's side), log-scale, turn and shear (radians)."""


def affine_views(clips: Tensor, num_views: int, rng: BatchRng, mirrored: bool = False) -> Tensor:
    """Each clip from `num_views` sides.

    Args:
        clips: [B, T, 4, S, S] premultiplied. num_views: V, at least 1. rng: of B rows. mirrored: continue the
        pictures beyond their border by their mirror image, as fits scenes; the default is
            transparent, as fits objects.

    Returns:
        [B, V, T, 4, S, S] premultiplied; view 0 is the clip.
    """
    batch, frames = clips.shape[:2]
    maps = torch.linalg.inv(affine_path(num_views, rng))[:, :, :2]  # [B, V, 2, 3] from the view to the clip
    repeated = maps[:, :, None].expand(-1, -1, frames, -1, -1).flatten(0, 2)
    pictures = clips[:, None].expand(-1, num_views, -1, -1, -1, -1).flatten(0, 2)
    grid = F.affine_grid(repeated, list(pictures.shape), align_corners=False)
    padding = "reflection" if mirrored else "zeros"
    views = F.grid_sample(pictures, grid, padding_mode=padding, align_corners=False)
    views = views.unflatten(0, (batch, num_views, frames))
    return torch.cat([clips[:, None], views[:, 1:]], 1)


def affine_path(num_views: int, rng: BatchRng) -> Tensor:
    """Maps [B, V, 3, 3] from the clip's image coordinates in [-1, 1] to each view's; the first is I."""
    line = torch.linspace(0, 1, num_views, device=rng.device)
    waves = torch.stack([torch.sin(math.pi / 2 * line), torch.sin(math.pi * line)])  # [2, V], 0 at first
    share = 2 * rng.uniform(len(RANGES), 2) - 1
    share = share / share.abs().sum(-1, keepdim=True).clamp_min(1)
    largest = constant(RANGES, rng.device)[:, None]
    x, y, scale, turn, shear = (share @ waves * largest).unbind(1)  # [B, V] each
    zero = torch.zeros_like(x)
    rows = [scale, shear - turn, x, shear + turn, scale, y, zero, zero, zero]
    return torch.matrix_exp(torch.stack(rows, -1).unflatten(-1, (3, 3)))
