"""Puts an object before the cameras of the orbit."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics

FILLED = (0.62, 0.88)  # share of the picture that an object's longest side takes


def frame_object(points: NDArray[Any], filled: float) -> tuple[float, NDArray[np.float64]]:
    """`framed` of one object's points [P, 3]."""
    scale, centre = framed(torch.from_numpy(points.astype(np.float64))[None], torch.tensor([filled]).double())
    return float(scale[0]), centre[0].numpy()


def framed(points: Tensor, filled: Tensor) -> tuple[Tensor, Tensor]:
    """Scales [B] and centres [B, 3] of points [B, P, 3] that let the longest side in the view from +z take
    `filled` [B] of the picture.

    Made smaller where the object would leave the picture of another camera on the orbit.
    """
    focal = float(intrinsics(1)[0, 0])
    low, high = points.amin(1), points.amax(1)
    centre = (low + high) / 2
    scale = 0.9 * filled * RADIUS / focal / (high - low)[:, :2].amax(1)
    for _ in range(12):
        placed = scale[:, None, None] * (points - centre[:, None])
        image = focal * placed[..., :2] / (RADIUS - placed[..., 2:]).clamp_min(0.2)
        low, high = image.amin(1), image.amax(1)
        moved = (low + high) / 2 * RADIUS / (focal * scale[:, None])
        centre = centre + F.pad(moved, (0, 1))
        scale = scale * (filled / (high - low).amax(1)) ** 0.8
    centred = points - centre[:, None]
    reach, tall = centred[..., ::2].norm(dim=-1), centred[..., 1].abs()
    for _ in range(40):
        away = scale[:, None] * reach
        aside = focal * away / (RADIUS**2 - away**2).clamp_min(1e-3).sqrt()
        up = focal * scale[:, None] * tall / (RADIUS - away).clamp_min(1e-3)
        fits = (away.amax(1) < 0.9 * RADIUS) & (torch.maximum(aside, up).amax(1) < 0.49)
        scale = torch.where(fits, scale, 0.97 * scale)
    return scale, centre
