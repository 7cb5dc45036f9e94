"""Pictures cut to the object, the same size in all: how large it appears must not tell how it is turned.

An orbit that holds a long animal from all sides shows it small from the front: a network that saw such
pictures as they are would take every small thing for something seen from the front.
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

FILLED = 0.8  # of the close-up, by the longest side of what is seen
HALF_FOCAL = 2 * float(intrinsics(1)[0, 0])  # of a picture that reaches from -1 to 1
FINE = 2  # pixels that are averaged


@dataclass(frozen=True)
class CloseUps:
    """Of B pictures, what was cut out, and how planes told of it become planes of the whole picture.

    A plane that faces A is seen to face A + θ along a ray that is θ to the right of the optical axis.
    """

    pictures: Tensor  # [B, 4, IN_SIZE, IN_SIZE] premultiplied
    middle: Tensor  # [B, 2] in the whole pictures, which reach from -1 to 1
    zoom: Tensor  # [B]

    @property
    def aside(self) -> Tensor:
        """θ [B] of the middle, radians."""
        return torch.atan(self.middle[:, 0] / HALF_FOCAL)

    def planes(self, planes: Tensor) -> Tensor:
        """Planes [B, 4] of the whole pictures, as they are seen in the close-ups; 0 stays 0."""
        c, s, x, z = planes.unbind(1)
        azimuth = torch.atan2(s, c) / 2
        offset = x * azimuth.cos() - z * azimuth.sin() - azimuth.cos() * self._right
        seen = upright_planes(azimuth + self.aside, self.zoom * offset)
        return seen * planes.any(1, keepdim=True)

    def of_whole(self, logits: Tensor, offsets: Tensor, unit: float) -> tuple[Tensor, Tensor]:
        """What was told of the azimuths -90, …, 85 in the close-ups, for the same ones in the whole pictures.

        Args:
            logits, offsets: [B, 36]; offsets of the planes that face so, in `unit` (world units).
        """
        count = logits.shape[1]
        steps = torch.arange(count, device=logits.device)
        place = steps + (self.aside * count / math.pi)[:, None]
        before = place.floor().long()
        share = place - before

        def between(values: Tensor, sign: int) -> Tensor:
            """At `place`; after half a turn the normal, and an offset's sign, is the other way around."""
            a, b = (
                values.gather(1, k % count) * torch.where(k // count % 2 == 0, 1, sign)
                for k in (before, before + 1)
            )
            return torch.lerp(a, b, share)

        azimuths = (steps / count - 0.5) * math.pi
        own = azimuths.cos() * self._right[:, None] / unit
        return between(logits, 1), between(offsets, -1) / self.zoom[:, None] + own

    @property
    def _right(self) -> Tensor:
        """World units [B] by which the middle lies to the right of the origin, at the origin's depth."""
        return self.middle[:, 0] * RADIUS / HALF_FOCAL


def close_ups(pictures: Tensor, filled: Tensor | float = FILLED) -> CloseUps:
    """Of premultiplied pictures [B, 4, S, S]; the object fills the share `filled` ([B]) of each."""
    low, high = bounds(pictures[:, 3] > 0.5)
    middle = (low + high) / 2
    zoom = filled / ((high - low).amax(1) / 2).clamp_min(2 / pictures.shape[-1])
    place = torch.zeros(len(pictures), 2, 3, device=pictures.device)
    place[:, 0, 0] = place[:, 1, 1] = 1 / zoom
    place[:, :, 2] = middle
    grid = F.affine_grid(place, [len(pictures), 4, FINE * IN_SIZE, FINE * IN_SIZE], align_corners=False)
    return CloseUps(F.avg_pool2d(F.grid_sample(pictures, grid, align_corners=False), FINE), middle, zoom)


def bounds(there: Tensor) -> tuple[Tensor, Tensor]:
    """Upper left and lower right corners [B, 2] in [-1, 1] of what is marked in [B, S, S], or of it all."""
    size = there.shape[-1]
    edges = 2 * torch.arange(size + 1, device=there.device) / size - 1
    there = there | ~there.flatten(1).any(1)[:, None, None]
    low, high = [], []
    for axis in (1, 2):  # columns, rows
        marked = there.any(axis)
        low.append(torch.where(marked, edges[:-1], 1.0).amin(1))
        high.append(torch.where(marked, edges[1:], -1.0).amax(1))
    return torch.stack(low, 1), torch.stack(high, 1)
