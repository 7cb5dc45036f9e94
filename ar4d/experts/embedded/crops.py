"""Crops in which the object always has the same size, for the facing network.

An orbit that keeps a long animal in view from all sides shows it small from the front. A network that saw
whole pictures would learn that small means "seen from the front", so it sees crops of constant size instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics
from ar4d.experts.embedded.network import IN_SIZE
from ar4d.experts.embedded.symmetry import upright_planes

FILL = 0.8
"""Share of a crop's width or height that the object's longer side takes."""
NORMALIZED_FOCAL = 2 * float(intrinsics(1)[0, 0])
"""Focal length of the reference camera for pictures that reach from -1 to 1."""
SUPERSAMPLE = 2
"""Samples per output pixel and axis, averaged."""


@dataclass(frozen=True)
class ObjectCrops:
    """B crops and the transforms between their planes of symmetry and those of the full pictures.

    Turning the camera by θ to the right turns every plane by θ: a plane that faces azimuth A in the full
    picture faces A + θ in a crop whose centre lies θ to the right of the optical axis.
    """

    pictures: Tensor  # [B, 4, IN_SIZE, IN_SIZE] premultiplied
    center: Tensor  # [B, 2] of the crops in the full pictures, which reach from -1 to 1
    zoom: Tensor  # [B] enlargement of the crops

    @property
    def angles(self) -> Tensor:
        """Angles θ [B] from the optical axis to the crops' centres, in radians, positive to the right."""
        return torch.atan(self.center[:, 0] / NORMALIZED_FOCAL)

    def planes_from_full(self, planes: Tensor) -> Tensor:
        """Transform planes [B, 4] of the full pictures into those seen in the crops; 0 (unknown) stays 0."""
        c, s, x, z = planes.unbind(1)
        azimuth = torch.atan2(s, c) / 2
        offset = x * azimuth.cos() - z * azimuth.sin() - azimuth.cos() * self._shift
        cropped = upright_planes(azimuth + self.angles, self.zoom * offset)
        return cropped * planes.any(1, keepdim=True)

    def predictions_to_full(self, logits: Tensor, offsets: Tensor, unit: float) -> tuple[Tensor, Tensor]:
        """Convert predictions for azimuths -90, …, 85 in the crops to the same azimuths in the full pictures.

        Args:
            logits: [B, 36], one per azimuth.
            offsets: [B, 36] of the planes that face these azimuths, in multiples of `unit`.
            unit: world units.

        Returns:
            Logits and offsets [B, 36] for the full pictures.
        """
        count = logits.shape[1]
        steps = torch.arange(count, device=logits.device)
        position = steps + (self.angles * count / math.pi)[:, None]
        lower = position.floor().long()
        share = position - lower

        def interpolate(values: Tensor, sign: int) -> Tensor:
            """Interpolate linearly at `position`; half a turn flips the normal and multiplies by `sign`."""
            a, b = (
                values.gather(1, k % count) * torch.where(k // count % 2 == 0, 1, sign)
                for k in (lower, lower + 1)
            )
            return torch.lerp(a, b, share)

        azimuths = (steps / count - 0.5) * math.pi
        shift = azimuths.cos() * self._shift[:, None] / unit
        return interpolate(logits, 1), interpolate(offsets, -1) / self.zoom[:, None] + shift

    @property
    def _shift(self) -> Tensor:
        """World units [B] from the origin to the crops' centres, to the right, at the origin's depth."""
        return self.center[:, 0] * RADIUS / NORMALIZED_FOCAL


def crop_to_object(pictures: Tensor, fill: Tensor | float = FILL) -> ObjectCrops:
    """Crop premultiplied pictures [B, 4, S, S] so that the object takes the share `fill` (or [B]) of each."""
    low, high = bounding_boxes(pictures[:, 3] > 0.5)
    center = (low + high) / 2
    zoom = fill / ((high - low).amax(1) / 2).clamp_min(2 / pictures.shape[-1])
    theta = torch.zeros(len(pictures), 2, 3, device=pictures.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / zoom
    theta[:, :, 2] = center
    size = [len(pictures), 4, SUPERSAMPLE * IN_SIZE, SUPERSAMPLE * IN_SIZE]
    grid = F.affine_grid(theta, size, align_corners=False)
    fine = F.grid_sample(pictures, grid, align_corners=False)
    return ObjectCrops(F.avg_pool2d(fine, SUPERSAMPLE), center, zoom)


def bounding_boxes(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Upper left and lower right corners [B, 2] in [-1, 1] of masks [B, S, S]; all of it if empty."""
    size = masks.shape[-1]
    edges = 2 * torch.arange(size + 1, device=masks.device) / size - 1
    masks = masks | ~masks.flatten(1).any(1)[:, None, None]
    low, high = [], []
    for axis in (1, 2):  # columns, rows
        occupied = masks.any(axis)
        low.append(torch.where(occupied, edges[:-1], 1.0).amin(1))
        high.append(torch.where(occupied, edges[1:], -1.0).amax(1))
    return torch.stack(low, 1), torch.stack(high, 1)
