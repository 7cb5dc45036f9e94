"""Other bodies out of the same mesh: fatter, longer, bent.

There are few animals and one sort of people among the training meshes. Warped, they teach how thick
things are that look a certain way from their side, and not which mesh this is. All feet stay on the
ground: which of them the picture shows lower tells which end is nearer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from train.data.device_constants import constant
from train.data.rng import Dice
from train.data.zeroad.mesh import Clip

STRETCH = 0.14  # standard deviation of the logarithm, of each axis
SWELL = 0.12  # and of its change along the body
STEEPEST = 0.3  # share by which a swell along its own axis may shorten anything there: or heads would fold
OWN = ((False, False), (True, False), (False, True))  # which of the swells those are
BEND = 0.06  # half sizes by which the ends of a body are turned aside
UNWARPED = 0.25  # share of objects that are left alone


@dataclass(frozen=True)
class Warp:
    """Random, smooth, mostly symmetric warps of B objects whose plane of symmetry is x = 0."""

    fixed: Tensor  # [B, 3] the middle of the ground that they stand on
    half: Tensor  # [B] half sizes
    stretch: Tensor  # [B, 3]
    swells: Tensor  # [B, 3, 2]
    waves: Tensor  # [B, 3, 2]
    phases: Tensor  # [B, 3, 2]
    bend: Tensor  # [B]

    @staticmethod
    def random(points: Tensor, strength: Tensor, dice: Dice) -> Warp:
        """For objects that have the points [B, P, 3], so much [B] stronger than usual."""
        low, high = points.amin(1), points.amax(1)
        strength = strength * (dice.uniform() >= UNWARPED)
        half = ((high - low).amax(1) / 2).clamp_min(1e-6)
        stretch = STRETCH * strength[:, None] * dice.normal(3)
        waves = 0.5 + dice.uniform(3, 2)
        swells = SWELL * strength[:, None, None] * dice.normal(3, 2)
        reach = (high - low)[:, 1:] / half[:, None] * constant((1.0, 0.5), low.device)
        most = STEEPEST / (math.pi * reach.clamp_min(1e-6)[:, None] * waves)
        own = constant(OWN, low.device)
        return Warp(
            fixed=torch.stack([torch.zeros_like(low[:, 0]), low[:, 1], (low + high)[:, 2] / 2], 1),
            half=half,
            stretch=stretch,
            swells=torch.where(own, swells.clamp(-most, most), swells),
            waves=waves,
            phases=math.pi * (2 * dice.uniform(3, 2) - 1),
            bend=BEND * strength * dice.normal(),
        )

    def __call__(self, points: Tensor) -> Tensor:
        """Where points [B, P, 3] of any pose go."""
        fixed, half = self.fixed[:, None], self.half[:, None, None]
        place = (points - fixed) / half
        along = place[..., 1:]  # y and z: what is left and right of the middle swells alike
        powers = self.stretch[:, None] + sum(
            self.swells[:, None, :, k]
            * torch.sin(
                math.pi * self.waves[:, None, :, k] * along[..., k, None] + self.phases[:, None, :, k]
            )
            for k in range(2)
        )
        aside = self.bend[:, None] * along[..., 1] * along[..., 1].abs()
        place = place * powers.exp()
        return fixed + half * torch.cat([place[..., :1] + aside[..., None], place[..., 1:]], -1)


def warped(clip: Clip, random: np.random.Generator) -> Clip:
    """The clip with all its parts in all frames seen through one random warp."""
    own = torch.Generator().manual_seed(int(random.integers(2**31)))
    points = torch.from_numpy(np.concatenate(clip.points(0)))
    warp = Warp.random(points[None], torch.ones(1), Dice(1, points.device, own))

    def moved(vertices: np.ndarray) -> np.ndarray:
        return warp(torch.from_numpy(vertices).reshape(1, -1, 3))[0].view(vertices.shape).numpy()

    return Clip(tuple(replace(part, vertices=moved(part.vertices)) for part in clip.parts))
