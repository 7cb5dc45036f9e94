"""Places objects before the orbit's cameras."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics

FILL_RANGE = (0.62, 0.88)
"""Range of the share of a picture that an object's longer side takes."""


def frame_object(points: NDArray[Any], fill: float) -> tuple[float, NDArray[np.float64]]:
    """Scale and centre [3] of one object's points [P, 3]; see `frame_objects`."""
    scale, center = frame_objects(
        torch.from_numpy(points.astype(np.float64))[None], torch.tensor([fill]).double()
    )
    return float(scale[0]), center[0].numpy()


def frame_objects(points: Tensor, fill: Tensor) -> tuple[Tensor, Tensor]:
    """Fit objects into the pictures of all cameras on the orbit.

    Args:
        points: [B, P, 3] of B objects, any units.
        fill: [B] share of the picture that the longer side takes in the view from +z. The object becomes
            smaller where another camera on the orbit would cut it off.

    Returns:
        Scales [B] and centres [B, 3]: scale · (x - centre) is in world units.
    """
    focal = float(intrinsics(1)[0, 0])
    low, high = points.amin(1), points.amax(1)
    center = (low + high) / 2
    scale = 0.9 * fill * RADIUS / focal / (high - low)[:, :2].amax(1)
    for _ in range(12):
        placed = scale[:, None, None] * (points - center[:, None])
        image = focal * placed[..., :2] / (RADIUS - placed[..., 2:]).clamp_min(0.2)
        low, high = image.amin(1), image.amax(1)
        shift = (low + high) / 2 * RADIUS / (focal * scale[:, None])
        center = center + F.pad(shift, (0, 1))
        scale = scale * (fill / (high - low).amax(1)) ** 0.8
    centered = points - center[:, None]
    reach, height = centered[..., ::2].norm(dim=-1), centered[..., 1].abs()
    for _ in range(40):
        distance = scale[:, None] * reach
        across = focal * distance / (RADIUS**2 - distance**2).clamp_min(1e-3).sqrt()
        up = focal * scale[:, None] * height / (RADIUS - distance).clamp_min(1e-3)
        fits = (distance.amax(1) < 0.9 * RADIUS) & (torch.maximum(across, up).amax(1) < 0.49)
        scale = torch.where(fits, scale, 0.97 * scale)
    return scale, center
