"""What LGM is shown: pictures on white, normalised, and the rays they were taken along."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, Cameras, orbit
from ar4d.gaussians import Gaussians, multiply_quaternions, quaternions

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def on_white(rgba: Tensor) -> Tensor:
    """[..., S, S, 4] straight alpha becomes [..., S, S, 3] on white."""
    return rgba[..., :3] * rgba[..., 3:] + (1 - rgba[..., 3:])


def resize(rgb: Tensor, size: int) -> Tensor:
    """[V, S, S, 3] to [V, size, size, 3], bilinear without a low-pass: as LGM was trained."""
    small = F.interpolate(rgb.permute(0, 3, 1, 2), size=(size, size), mode="bilinear", align_corners=False)
    return small.permute(0, 2, 3, 1)


def plucker(cameras: Cameras) -> Tensor:
    """Plücker coordinates (o × d, d) of the ray through every pixel's centre.

    Args:
        cameras: V cameras; the world has y up, as LGM's has.

    Returns:
        [V, 6, H, W]; d has unit length.
    """
    rotations, translations = cameras.viewmats[:, :3, :3], cameras.viewmats[:, :3, 3]
    origins = -(rotations.mT @ translations[..., None])[..., 0]  # [V, 3]
    rows = torch.arange(cameras.height, dtype=rotations.dtype, device=rotations.device) + 0.5
    columns = torch.arange(cameras.width, dtype=rotations.dtype, device=rotations.device) + 0.5
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # [H, W, 3]
    to_world = rotations.mT @ torch.linalg.inv(cameras.Ks)  # [V, 3, 3]
    directions = F.normalize(torch.einsum("vij,hwj->vhwi", to_world, pixels), dim=-1)
    moments = torch.linalg.cross(origins[:, None, None].expand_as(directions), directions)
    return torch.cat([moments, directions], dim=-1).permute(0, 3, 1, 2)


def network_input(rgb: Tensor, cameras: Cameras) -> Tensor:
    """[1, 4, 9, S, S] of four pictures [4, S, S, 3] in [0, 1] and their cameras."""
    mean, std = rgb.new_tensor(IMAGENET_MEAN), rgb.new_tensor(IMAGENET_STD)
    pictures = ((rgb - mean) / std).permute(0, 3, 1, 2)
    return torch.cat([pictures, plucker(cameras)], dim=1)[None]


def canonical_cameras(elevation_deg: float, size: int) -> tuple[Cameras, Tensor]:
    """The four orthogonal cameras in the frame that LGM was trained in.

    There the world is turned so that view 0 always sits at azimuth 0 and elevation 0: its training
    data moves the first camera to (0, 0, 1.5), looking along -z (`provider_objaverse.py`).

    Args:
        elevation_deg: of all four cameras in our world, positive is above.
        size: width and height of the pictures, pixels.

    Returns:
        The cameras, and the [3, 3] rotation from that frame into our world.
    """
    cameras = orbit(ORTHOGONAL_AZIMUTHS_DEG, elevation_deg, size=size)
    to_world = cameras.viewmats[0, :3, :3].T @ orbit(0.0, size=size).viewmats[0, :3, :3]
    viewmats = cameras.viewmats.clone()
    viewmats[:, :3, :3] = viewmats[:, :3, :3] @ to_world
    return Cameras(viewmats, cameras.Ks, size, size), to_world


def rotate(gaussians: Gaussians, rotation: Tensor) -> Gaussians:
    """Turns Gaussians about the origin by a [3, 3] rotation."""
    return Gaussians(
        means=gaussians.means @ rotation.T,
        quats=multiply_quaternions(quaternions(rotation).expand_as(gaussians.quats), gaussians.quats),
        scales=gaussians.scales,
        opacities=gaussians.opacities,
        colors=gaussians.colors,
    )
