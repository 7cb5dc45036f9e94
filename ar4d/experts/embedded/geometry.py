"""Points along the reference camera's rays, and where the four orthogonal cameras see them."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, Cameras, orbit

VIEWS = len(ORTHOGONAL_AZIMUTHS_DEG)
CPU = torch.device("cpu")


@cache
def cameras(size: int) -> Cameras:
    """The four orthogonal cameras at elevation 0."""
    return orbit(ORTHOGONAL_AZIMUTHS_DEG, size=size)


@cache
def rays(size: int, device: torch.device = CPU) -> tuple[Tensor, Tensor]:
    """Origins [4, 1, 1, 3] and directions [4, S, S, 3], of unit length along the optical axes."""
    views = cameras(size)
    middles = torch.arange(size) + 0.5 - size / 2
    y, x = torch.meshgrid(middles, middles, indexing="ij")
    focal = views.Ks[0, 0, 0]
    local = torch.stack([x / focal, y / focal, torch.ones_like(x)], -1)
    rotations, shifts = views.viewmats[:, :3, :3], views.viewmats[:, :3, 3]
    origins = -torch.einsum("vji,vj->vi", rotations, shifts)
    directions = torch.einsum("vji,hwj->vhwi", rotations, local)
    return origins[:, None, None].to(device), directions.to(device)


@cache
def viewmat_of(view: int, device: torch.device) -> Tensor:
    """[4, 4] of one of the four cameras; to send it anew each time would make a GPU wait."""
    return cameras(1).viewmats[view].to(device)


def frustum_points(depths: Tensor, size: int) -> Tensor:
    """World points [D, S, S, 3] at depths [D] along the rays of the reference view's pixels."""
    origins, directions = rays(size, depths.device)
    return origins[0] + directions[0] * depths[:, None, None, None]


def project(points: Tensor, view: int) -> tuple[Tensor, Tensor]:
    """Places [..., 2] in [-1, 1] and depths [...] of world points [..., 3] in one of the four views."""
    viewmat = viewmat_of(view, points.device)
    local = torch.addmm(viewmat[:3, 3], points.reshape(-1, 3), viewmat[:3, :3].T).view(points.shape)
    focal = 2 * float(cameras(1).Ks[0, 0, 0])
    return focal * local[..., :2] / local[..., 2:].clamp_min(1e-3), local[..., 2]


def sample_view(image: Tensor, points: Tensor, view: int, mode: str = "bilinear") -> Tensor:
    """Samples [C, ...] of a view's image [C, H, W] where points [..., 3] are seen; 0 outside."""
    return sample_at(image, project(points, view)[0], mode)


def sample_at(image: Tensor, places: Tensor, mode: str = "bilinear") -> Tensor:
    """Samples [C, ...] of an image [C, H, W] at places [..., 2] in [-1, 1]; 0 outside."""
    found = F.grid_sample(image[None], places.reshape(1, 1, -1, 2), mode=mode, align_corners=False)[0, :, 0]
    return found.unflatten(-1, places.shape[:-1])
