"""Points along the reference camera's rays, and their projections into the four orthogonal cameras."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, Cameras, orbit, pixel_rays

VIEWS = len(ORTHOGONAL_AZIMUTHS_DEG)
CPU = torch.device("cpu")


@cache
def cameras(size: int) -> Cameras:
    """The four orthogonal cameras at elevation 0, for pictures of `size`² pixels."""
    return orbit(ORTHOGONAL_AZIMUTHS_DEG, size=size)


@cache
def rays(size: int, device: torch.device = CPU) -> tuple[Tensor, Tensor]:
    """Ray origins [4, 1, 1, 3] and directions [4, S, S, 3] whose component along the optical axis is 1."""
    origins, directions = pixel_rays(cameras(size))
    return origins.to(device), directions.to(device)


@cache
def viewmat_of(view: int, device: torch.device) -> Tensor:
    """World-to-camera matrix [4, 4] of one of the four cameras, cached because each transfer stalls a GPU."""
    return cameras(1).viewmats[view].to(device)


def frustum_points(depths: Tensor, size: int) -> Tensor:
    """World points [D, S, S, 3] at depths [D] along the rays of the reference view's pixels."""
    origins, directions = rays(size, depths.device)
    return origins[0] + directions[0] * depths[:, None, None, None]


def project(points: Tensor, view: int) -> tuple[Tensor, Tensor]:
    """Image coordinates [..., 2] in [-1, 1] and depths [...] of world points [..., 3] in one of the views."""
    viewmat = viewmat_of(view, points.device)
    local = torch.addmm(viewmat[:3, 3], points.reshape(-1, 3), viewmat[:3, :3].T).view(points.shape)
    focal = 2 * float(cameras(1).Ks[0, 0, 0])
    return focal * local[..., :2] / local[..., 2:].clamp_min(1e-3), local[..., 2]


def sample_view(image: Tensor, points: Tensor, view: int, mode: str = "bilinear") -> Tensor:
    """Sample a view's image [C, H, W] at the projections of points [..., 3]; [C, ...], 0 outside."""
    return sample_at(image, project(points, view)[0], mode)


def sample_at(image: Tensor, places: Tensor, mode: str = "bilinear") -> Tensor:
    """Sample an image [C, H, W] at image coordinates [..., 2] in [-1, 1]; [C, ...], 0 outside."""
    found = F.grid_sample(image[None], places.reshape(1, 1, -1, 2), mode=mode, align_corners=False)[0, :, 0]
    return found.unflatten(-1, places.shape[:-1])
