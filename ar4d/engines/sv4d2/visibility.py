"""The visibility weights of Sec. 4: how much a surface faces the camera that a view was drawn for.

A generated view is most reliable where it looks straight at the surface. W = clip(v·n, 0, 1) with v the unit
vector from the surface to the camera and n the surface's normal. The paper takes n from a network; here
it comes from the depth of the Gaussians themselves.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import Cameras
from ar4d.gaussians import Gaussians
from ar4d.rendering import render

SOLID = 0.5  # alpha from which a pixel has a depth


def facing_ratio(depth: Tensor, Ks: Tensor) -> Tensor:
    """v·n of each pixel, from depths alone.

    Points are p = z K⁻¹ (u, v, 1), their normal is the cross product of the differences between
    neighbours on both sides, and v = -p/|p|. A plane that faces the camera gives 1 at its foot.

    Args:
        depth: [C, H, W] along the camera's axis, world units, positive.
        Ks: [C, 3, 3].

    Returns:
        [C, H, W] in [0, 1].

    Locked by `test_a_plane_at_an_angle_has_its_cosine` (tests/engines/sv4d2/test_visibility.py).
    """
    _, height, width = depth.shape
    ys, xs = torch.meshgrid(
        torch.arange(height, dtype=depth.dtype, device=depth.device) + 0.5,
        torch.arange(width, dtype=depth.dtype, device=depth.device) + 0.5,
        indexing="ij",
    )
    x = (xs - Ks[:, 0, 2, None, None]) / Ks[:, 0, 0, None, None]
    y = (ys - Ks[:, 1, 2, None, None]) / Ks[:, 1, 1, None, None]
    points = torch.stack([x * depth, y * depth, depth], dim=-1)
    padded = F.pad(points.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="replicate").permute(0, 2, 3, 1)
    along = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    normal = F.normalize(torch.linalg.cross(down, along), dim=-1, eps=1e-12)
    view = F.normalize(-points, dim=-1, eps=1e-12)
    return (normal * view).sum(-1).clamp(0, 1)


@torch.no_grad()
def visibility(gaussians: Gaussians, cameras: Cameras, floor: float) -> Tensor:
    """W of each pixel: at least `floor` where the Gaussians are solid, and 1 around them.

    Returns:
        [C, H, W] in [0, 1].
    """
    view = render(gaussians, cameras)
    solid = view.alpha > SOLID
    depth = _smoothed(view.depth, view.alpha)
    ratio = facing_ratio(depth, cameras.Ks.to(depth))
    return torch.where(solid, ratio.clamp_min(floor), torch.ones_like(ratio))


def _smoothed(depth: Tensor, alpha: Tensor) -> Tensor:
    """Expected depths, averaged over 3×3 pixels by alpha; splats are not smooth from pixel to pixel."""
    sums = F.avg_pool2d(torch.stack([depth, alpha], dim=1), 3, stride=1, padding=1)
    return sums[:, 0] / sums[:, 1].clamp_min(1e-6)
