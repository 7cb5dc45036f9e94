"""From the network's camera into the project's: pixels stay where they are, the focal length changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics
from ar4d.experts.splatt3r.activations import PixelGaussians
from ar4d.experts.splatt3r.picture import Box
from ar4d.gaussians import Gaussians, rotation_matrices

NEAR, FAR = 0.25 * RADIUS, 4.0 * RADIUS  # depths beyond are pulled in: the sky is a backdrop
MOST_SCALE = 0.1  # of a Gaussian's depth; indoors the published weights stay below a fifth of it
LEAST_OPACITY = 0.02
LEAST_QUAT = 0.99  # shorter where the network's quaternion was below 1e-6: it has no direction


@dataclass(frozen=True, eq=False)
class Splats:
    """Gaussians by their moments, [V, H, W, …] over views and pixels, in the reference camera; float64."""

    means: Tensor  # [V, H, W, 3] the network's unit
    covariances: Tensor  # [V, H, W, 3, 3]
    opacities: Tensor  # [V, H, W]; 0 where there is none
    colors: Tensor  # [V, H, W, 3] in [0, 1]
    pixel_area: float
    """Of one pixel of the maps, as slopes x/z and y/z: square units at depth 1."""


def camera_change(focal: float, box: Box, shown: tuple[int, int], size: int) -> Tensor:
    """The linear map A [3, 3] of camera coordinates under which every point stays at its pixel and depth.

    The network has pixel u = f x/z + W/2 at integer indices (DUSt3R's convention); in the picture, the
    centre of that pixel lies at (u + 0.5)·w/W + left, where w is the width of the box. The project's
    camera sees it at f_p x'/z + S/2. Equating both gives x' = (f w / (W f_p)) x + c z, and the same for y.

    Args:
        focal: f, pixels of the shown picture.
        shown: H and W of the picture that the network was shown.
        size: S of the square picture in which the box lies.
    """
    project = float(intrinsics(size)[0, 0])
    cell_y, cell_x = box.height / shown[0], box.width / shown[1]  # pixels of the picture per shown pixel
    shift_x = (box.left + box.width / 2 + cell_x / 2 - size / 2) / project
    shift_y = (box.top + box.height / 2 + cell_y / 2 - size / 2) / project
    return torch.tensor(
        [[focal * cell_x / project, 0, shift_x], [0, focal * cell_y / project, shift_y], [0, 0, 1]],
        dtype=torch.float64,
    )


def in_reference_camera(pixels: PixelGaussians, focal: float, change: Tensor, seen: Tensor) -> Splats:
    """Gaussians of V views in the reference camera, in the network's unit, without those that are none.

    Args:
        pixels: [V, H, W, …] in the network's camera.
        focal: of the network's camera, pixels.
        change: [3, 3] from `camera_change`.
        seen: [H, W] where the picture shows the scene.
    """
    pixels = pixels.map(lambda x: x.double().cpu())
    sound = usable(pixels) & seen.cpu()
    pixels = pixels.map(lambda x: x.nan_to_num(0, 0, 0))
    shape = change @ rotation_matrices(pixels.quats) * pixels.scales[..., None, :]
    return Splats(
        means=pixels.means @ change.T,
        covariances=shape @ shape.mT,
        opacities=torch.where(sound, pixels.opacities, 0.0),
        colors=pixels.colors.clamp(0, 1),
        pixel_area=float(change[0, 0] * change[1, 1]) / focal**2,
    )


def scaled(gaussians: Gaussians, scale: float) -> Gaussians:
    """Gaussians in the reference camera in world units; what is too near or far moves along its ray.

    Args:
        scale: world units per unit of the network.
    """
    z = gaussians.means[:, 2]
    factor = ((scale * z).clamp(NEAR, FAR) / z)[:, None]
    return replace(gaussians, means=gaussians.means * factor, scales=gaussians.scales * factor)


def usable(pixels: PixelGaussians) -> Tensor:
    """[V, H, W] which Gaussians can be shown: finite, before the camera, small, not transparent."""
    flat = torch.cat([pixels.means, pixels.scales, pixels.quats, pixels.colors], dim=-1)
    finite = torch.isfinite(flat).all(-1) & torch.isfinite(pixels.opacities)
    z = pixels.means[..., 2]
    small = pixels.scales.amax(-1) <= MOST_SCALE * z
    turned = pixels.quats.norm(dim=-1) > LEAST_QUAT
    return finite & (z > 0) & small & turned & (pixels.opacities >= LEAST_OPACITY)
