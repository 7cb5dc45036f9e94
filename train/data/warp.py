"""Random smooth warps that make other bodies out of the same mesh: fatter, longer, bent.

There are few animals and essentially one human among the training meshes. Warped, they teach how thick things
with a certain outline are, rather than which mesh this is. All feet stay on the ground, because the feet that
appear lower in a picture show which end of an animal is nearer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ar4d.scenes.mesh import Clip
from train.data.batch_rng import BatchRng
from train.data.device_constants import constant

STRETCH_STD = 0.14
"""Standard deviation of the logarithm of each axis's factor."""
SWELL_STD = 0.12
"""Standard deviation of the amplitude by which that logarithm changes along the body."""
MAX_COMPRESSION = 0.3
"""Largest share by which a swell along its own axis may shorten anything: larger ones fold heads."""
ALONG_OWN_AXIS = ((False, False), (True, False), (False, True))
"""Which of the swells [axis, wave direction (y, z)] run along their own axis."""
BEND_STD = 0.06
"""Standard deviation, in half sizes, of the sideways bend of a body's ends."""
UNWARPED = 0.25
"""Probability that an object is left alone."""


@dataclass(frozen=True)
class Warp:
    """Warps of B objects; they keep the plane of symmetry x = 0, but for the bend."""

    fixed: Tensor  # [B, 3] the middle of the ground that the objects stand on
    half: Tensor  # [B] half sizes
    stretch: Tensor  # [B, 3] logarithms
    swells: Tensor  # [B, 3, 2] amplitudes
    waves: Tensor  # [B, 3, 2] frequencies
    phases: Tensor  # [B, 3, 2] radians
    bend: Tensor  # [B]

    @staticmethod
    def random(points: Tensor, strength: Tensor, rng: BatchRng) -> Warp:
        """Random warps for objects with points [B, P, 3], `strength` [B] times as strong as usual."""
        low, high = points.amin(1), points.amax(1)
        strength = strength * (rng.uniform() >= UNWARPED)
        half = ((high - low).amax(1) / 2).clamp_min(1e-6)
        stretch = STRETCH_STD * strength[:, None] * rng.normal(3)
        waves = 0.5 + rng.uniform(3, 2)
        swells = SWELL_STD * strength[:, None, None] * rng.normal(3, 2)
        reach = (high - low)[:, 1:] / half[:, None] * constant((1.0, 0.5), low.device)
        limit = MAX_COMPRESSION / (math.pi * reach.clamp_min(1e-6)[:, None] * waves)
        along_own_axis = constant(ALONG_OWN_AXIS, low.device)
        return Warp(
            fixed=torch.stack([torch.zeros_like(low[:, 0]), low[:, 1], (low + high)[:, 2] / 2], 1),
            half=half,
            stretch=stretch,
            swells=torch.where(along_own_axis, swells.clamp(-limit, limit), swells),
            waves=waves,
            phases=math.pi * (2 * rng.uniform(3, 2) - 1),
            bend=BEND_STD * strength * rng.normal(),
        )

    def __call__(self, points: Tensor) -> Tensor:
        """Warp points [B, P, 3] of any pose."""
        fixed, half = self.fixed[:, None], self.half[:, None, None]
        place = (points - fixed) / half
        along = place[..., 1:]  # y and z only: the two sides of x = 0 swell alike
        logarithms = self.stretch[:, None] + sum(
            self.swells[:, None, :, k]
            * torch.sin(
                math.pi * self.waves[:, None, :, k] * along[..., k, None] + self.phases[:, None, :, k]
            )
            for k in range(2)
        )
        aside = self.bend[:, None] * along[..., 1] * along[..., 1].abs()
        place = place * logarithms.exp()
        return fixed + half * torch.cat([place[..., :1] + aside[..., None], place[..., 1:]], -1)


def warp_clip(clip: Clip, random: np.random.Generator) -> Clip:
    """Apply one random warp to all parts of a clip in all frames."""
    generator = torch.Generator().manual_seed(int(random.integers(2**31)))
    points = torch.from_numpy(np.concatenate(clip.points(0)))
    warp = Warp.random(points[None], torch.ones(1), BatchRng(1, points.device, generator))

    def moved(vertices: np.ndarray) -> np.ndarray:
        return warp(torch.from_numpy(vertices).reshape(1, -1, 3))[0].view(vertices.shape).numpy()

    return Clip(tuple(replace(part, vertices=moved(part.vertices)) for part in clip.parts))
