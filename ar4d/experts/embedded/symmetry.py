"""Planes of symmetry: for a symmetric object, the mirrored picture is a view of its hidden side.

A plane is upright and given by four numbers (cos 2A, sin 2A, x, z). A is the azimuth towards which the
object looks, or away from it (both give the same plane), and (x, z) is the foot of the perpendicular from
the origin. Four zeros mean that no plane is known. A picture taken from azimuth 0 and mirrored is what a
camera at azimuth 2A sees of a symmetric object.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS
from ar4d.experts.embedded.geometry import frustum_points, project

SWEEP_STEPS = 20
"""Depths at which the mirrored picture is compared with the picture."""
SWEEP_RANGE = 0.6
"""World units that the sweep covers before and behind the origin."""
CHANNELS = 2 * SWEEP_STEPS + 5
"""Channels of `mirrored_sweep`."""
Plane = tuple[float, float, float, float]


def upright_plane(azimuth_deg: float, offset: float) -> Plane:
    """The plane of the points x with (cos A, 0, -sin A) · x = `offset` (world units)."""
    a = math.radians(azimuth_deg)
    return math.cos(2 * a), math.sin(2 * a), offset * math.cos(a), -offset * math.sin(a)


def upright_planes(azimuths: Tensor, offsets: Tensor) -> Tensor:
    """Planes [..., 4] as `upright_plane` defines them, for azimuths [...] in radians."""
    c, s = azimuths.cos(), azimuths.sin()
    return torch.stack([(2 * azimuths).cos(), (2 * azimuths).sin(), offsets * c, -offsets * s], -1)


def normalize_planes(planes: Tensor) -> Tensor:
    """Project predicted numbers [B, 4] onto valid planes; 0 stays 0.

    The direction gets unit length, and the foot is moved onto the plane's normal.
    """
    direction = F.normalize(planes[:, :2], dim=1, eps=1e-6)
    c, s = direction.unbind(1)
    x, z = planes[:, 2:].unbind(1)
    known = (direction.norm(dim=1) > 0.5).to(planes.dtype)
    foot = torch.stack([(1 + c) * x - s * z, (1 - c) * z - s * x], 1) / 2
    return torch.cat([direction, foot * known[:, None]], 1)


def reflect(points: Tensor, plane: Tensor) -> Tensor:
    """Mirror points [..., 3] at a plane [..., 4] with normal n and offset d: x - 2 (n · x - d) n."""
    c, s, foot_x, foot_z = plane.unbind(-1)
    x, y, z = points.unbind(-1)
    return torch.stack([s * z - c * x + 2 * foot_x, y.expand_as(s * z), s * x + c * z + 2 * foot_z], -1)


def mirrored_sweep(pictures: Tensor, planes: Tensor) -> Tensor:
    """Plane sweep of the mirrored pictures along the pictures' own rays.

    Args:
        pictures: [B, 4, S, S] premultiplied.
        planes: [B, 4].

    Returns:
        [B, CHANNELS, S, S]: the mirrored picture's alpha and its absolute colour difference at SWEEP_STEPS
        depths each, the plane, and a flag that is 1. All channels are 0 where no plane is known.
    """
    size = pictures.shape[-1]
    depths = torch.linspace(-SWEEP_RANGE, SWEEP_RANGE, SWEEP_STEPS, device=pictures.device) + RADIUS
    points = frustum_points(depths, size)  # [SWEEP_STEPS, S, S, 3]
    known = planes[:, :2].any(1).nonzero()[:, 0]
    places = project(reflect(points, planes[known, None, None, None]), 0)[0]
    seen = F.grid_sample(pictures[known], places.flatten(1, 2), align_corners=False)
    seen = seen.unflatten(2, (SWEEP_STEPS, size))  # [K, 4, SWEEP_STEPS, S, S]
    difference = (seen[:, :3] - pictures[known, :3, None]).abs().mean(1)
    plane = F.pad(planes[known], (0, 1), value=1.0)[:, :, None, None].expand(-1, -1, size, size)
    result = pictures.new_zeros(len(pictures), CHANNELS, size, size)
    result[known] = torch.cat([seen[:, 3], difference, plane], 1)
    return result
