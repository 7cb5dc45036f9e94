"""Pinhole cameras on an orbit around the object.

World: right-handed, y up, the object at the origin. A camera at azimuth A and elevation E
(positive is above) has its centre at r (cosE sinA, sinE, cosE cosA) and looks at the origin.
`viewmats` are OpenCV world-to-camera matrices (x right, y down, z forward); pixel centres lie at
+0.5. The reference camera, from which the clip was taken, is A = 0, E = 0 unless the user says
otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

RADIUS = 1.5
FOV_Y_DEG = 49.1
ORTHOGONAL_AZIMUTHS_DEG = (0.0, 90.0, 180.0, 270.0)


@dataclass(frozen=True)
class Cameras:
    """A batch of C cameras that share one image size."""

    viewmats: Tensor  # [C, 4, 4] world to camera
    Ks: Tensor  # [C, 3, 3] in pixels
    width: int
    height: int

    def __len__(self) -> int:
        return self.viewmats.shape[0]

    def __getitem__(self, index: slice) -> Cameras:
        return Cameras(self.viewmats[index], self.Ks[index], self.width, self.height)

    def to(self, device: torch.device | str) -> Cameras:
        return Cameras(self.viewmats.to(device), self.Ks.to(device), self.width, self.height)


def orbit(
    azimuths_deg: float | Sequence[float],
    elevation_deg: float = 0.0,
    *,
    size: int,
    radius: float = RADIUS,
    fov_y_deg: float = FOV_Y_DEG,
) -> Cameras:
    """Square cameras on the orbit, one per azimuth.

    Args:
        azimuths_deg: one azimuth or C of them, in degrees.
        elevation_deg: in (-90, 90) degrees, positive is above.
        size: width and height of the image, in pixels.
    """
    if isinstance(azimuths_deg, int | float):
        azimuths_deg = [azimuths_deg]
    viewmats = torch.stack([_look_at_origin(a, elevation_deg, radius) for a in azimuths_deg])
    Ks = intrinsics(size, fov_y_deg).expand(len(azimuths_deg), 3, 3).contiguous()
    return Cameras(viewmats, Ks, size, size)


def same_size_radius(fov_y_deg: float) -> float:
    """Radius of the orbit from which the object looks as large as from `RADIUS` with `FOV_Y_DEG`."""
    own, other = (math.tan(math.radians(fov) / 2) for fov in (FOV_Y_DEG, fov_y_deg))
    return RADIUS * (own / other)


def around(
    target: Sequence[float],
    azimuth_deg: float,
    elevation_deg: float,
    radius: float,
    *,
    width: int,
    height: int,
    fov_y_deg: float = FOV_Y_DEG,
) -> Cameras:
    """One camera that looks at `target` from `radius` away; its image may be wider than high.

    Args:
        target: x, y and z of the point in the image's middle.
        azimuth_deg, elevation_deg: direction from the target to the camera, as on the orbit.
        fov_y_deg: vertical field of view.
    """
    viewmat = _look_at_origin(azimuth_deg, elevation_deg, radius)
    viewmat[:3, 3] -= viewmat[:3, :3] @ torch.tensor([float(x) for x in target])
    return Cameras(viewmat[None], intrinsics(height, fov_y_deg, width)[None], width, height)


def intrinsics(height: int, fov_y_deg: float = FOV_Y_DEG, width: int | None = None) -> Tensor:
    """[3, 3] intrinsic matrix with square pixels and the principal point in the middle of the image.

    Args:
        width: in pixels; that of a square image if not given.
    """
    focal = 0.5 * height / math.tan(math.radians(fov_y_deg) / 2)
    middle = (height if width is None else width) / 2
    return torch.tensor([[focal, 0, middle], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float32)


def pixel_rays(cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Rays through the centres of the pixels of C square cameras of one focal length.

    Returns:
        Origins [C, 1, 1, 3] and directions [C, S, S, 3] whose component along the optical axis is 1.
    """
    size = cameras.width
    centers = torch.arange(size) + 0.5 - size / 2
    y, x = torch.meshgrid(centers, centers, indexing="ij")
    focal = cameras.Ks[0, 0, 0]
    local = torch.stack([x / focal, y / focal, torch.ones_like(x)], -1)
    rotations, shifts = cameras.viewmats[:, :3, :3], cameras.viewmats[:, :3, 3]
    origins = -torch.einsum("vji,vj->vi", rotations, shifts)
    return origins[:, None, None], torch.einsum("vji,hwj->vhwi", rotations, local)


def _look_at_origin(azimuth_deg: float, elevation_deg: float, radius: float) -> Tensor:
    a, e = math.radians(azimuth_deg), math.radians(elevation_deg)
    outward = (math.cos(e) * math.sin(a), math.sin(e), math.cos(e) * math.cos(a))
    right = (math.cos(a), 0.0, -math.sin(a))
    down = (math.sin(e) * math.sin(a), -math.cos(e), math.sin(e) * math.cos(a))
    forward = tuple(-x for x in outward)
    viewmat = torch.eye(4)
    viewmat[:3, :3] = torch.tensor([right, down, forward])
    viewmat[2, 3] = radius  # the origin lies `radius` in front of the camera
    return viewmat
