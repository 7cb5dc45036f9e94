"""The focal length that explains a map of points (DUSt3R, arXiv 2312.14132, Sec. 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 10


def weiszfeld_focal(points: Tensor) -> float:
    """f that minimises Σ ‖p - f·(x/z, y/z)‖, by Weiszfeld's iteration: distant outliers weigh little.

    Args:
        points: [H, W, 3] in the camera that sees them; pixels p are integer indices less (W/2, H/2).

    Returns:
        Focal length in pixels; NaN where the points are no such map.
    """
    height, width = points.shape[:2]
    rows = torch.arange(height, dtype=points.dtype, device=points.device) - height / 2
    columns = torch.arange(width, dtype=points.dtype, device=points.device) - width / 2
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    slopes = (points[..., :2] / points[..., 2:]).nan_to_num(posinf=0, neginf=0)
    along, square = (slopes * pixels).sum(-1), slopes.square().sum(-1)
    focal = along.mean() / square.mean()
    for _ in range(STEPS):
        weights = 1 / (pixels - focal * slopes).norm(dim=-1).clamp_min(1e-8)
        focal = (weights * along).mean() / (weights * square).mean()
    return float(focal)
