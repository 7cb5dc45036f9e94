"""Photographs clouds of points (`train.clouds`) on any device, a batch of objects at a time.

Nothing is read from a disk: an object is seen in another pose, build and light each time.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics
from train.clouds import Clouds
from train.dice import Dice
from train.framing import FILLED
from train.samples import Shots
from train.splatting import Light, photographed
from train.warp import Warp

# Of animals, other actors and made-up objects. Animals are fewer than people in armour, and differ more.
SHARES = (0.35, 0.3, 0.35)
WARPED = (1.6, 1.2, 1.2)  # times the usual strength
PLAIN_LIGHT = 0.5  # share of objects under the default light
LIGHT, AMBIENT, DIFFUSE, TEAM_COLOUR = (0.3, 0.7, 0.65), 0.62, 0.5, (0.75, 0.12, 0.10)
FRAMED = 16  # every so many points tell how large an object is


class Studio:
    """Draws shots at random."""

    def __init__(self, clouds: Clouds, seed: int, pairs: bool = True) -> None:
        """
        Args:
            pairs: whether the other pose is wanted too.
        """
        self.clouds, self.pairs = clouds, pairs
        self.random = torch.Generator(clouds.rest.device).manual_seed(seed)
        shares = torch.tensor(SHARES, device=clouds.kind.device)
        self.odds = (shares / torch.bincount(clouds.kind, minlength=len(SHARES)).clamp_min(1))[clouds.kind]

    @torch.no_grad()
    def shots(self, count: int) -> Shots:
        """So many objects, posed, warped, turned, framed and lit."""
        clouds, device = self.clouds, self.odds.device
        dice = Dice(count, device, self.random)
        objects = torch.multinomial(self.odds, count, replacement=True, generator=self.random)
        first, swap = 2 * dice.numbers(clouds.matrices.shape[1] // 2), dice.numbers(2)
        poses = [clouds.posed(objects, first + swap)]
        if self.pairs:
            poses.append(clouds.posed(objects, first + 1 - swap))
        strength = torch.tensor(WARPED, device=device)[clouds.kind[objects]]
        warp = Warp.random(poses[0][0], strength, dice)
        yaw = 2 * math.pi * dice.uniform()
        turn = _about_y(yaw)
        points, normals = [warp(p) @ turn.mT for p, _ in poses], [n @ turn.mT for _, n in poses]
        filled = FILLED[0] + (FILLED[1] - FILLED[0]) * dice.uniform()
        scale, centre = framed(torch.cat([p[:, ::FRAMED] for p in points], 1), filled)
        centre = centre + 0.02 * dice.normal(3) / scale[:, None]
        places = [scale[:, None, None] * (p - centre[:, None]) for p in points]
        offset = -scale * (centre[:, 0] * yaw.cos() - centre[:, 2] * yaw.sin())
        planes = torch.stack([(2 * yaw).cos(), (2 * yaw).sin(), offset * yaw.cos(), -offset * yaw.sin()], 1)
        planes = planes * clouds.symmetric[objects, None]
        light = lit(dice)
        albedo = clouds.colors[objects].float() / 255
        albedo = (albedo[..., :3] + albedo[..., 3:] * light.team[:, None]) * light.tint[:, None]
        taken = [photographed(p, n, albedo, light) for p, n in zip(places, normals, strict=True)]
        return Shots(*taken[0], taken[-1][0], planes)


def lit(dice: Dice) -> Light:
    """The default light, or another one."""
    around = 2 * math.pi * dice.uniform()
    other = ~dice.chance(PLAIN_LIGHT)[:, None]
    direction = torch.stack([around.sin(), 0.2 + 1.3 * dice.uniform(), around.cos()], 1)

    def either(random: Tensor, plain: tuple[float, ...]) -> Tensor:
        return torch.where(other, random, torch.tensor(plain, device=random.device))

    return Light(
        direction=F.normalize(either(direction, LIGHT), dim=1),
        ambient=either(0.5 + 0.4 * dice.uniform(1), (AMBIENT,)),
        diffuse=either(0.6 * dice.uniform(1), (DIFFUSE,)),
        tint=either(0.8 + 0.3 * dice.uniform(3), (1.0, 1.0, 1.0)),
        team=either(dice.uniform(3), TEAM_COLOUR),
    )


def framed(points: Tensor, filled: Tensor) -> tuple[Tensor, Tensor]:
    """`train.framing.frame_object` of a batch: scales [B] and centres [B, 3] of points [B, P, 3]."""
    focal = float(intrinsics(1)[0, 0])
    low, high = points.amin(1), points.amax(1)
    centre = (low + high) / 2
    scale = 0.9 * filled * RADIUS / focal / (high - low)[:, :2].amax(1)
    for _ in range(12):
        placed = scale[:, None, None] * (points - centre[:, None])
        image = focal * placed[..., :2] / (RADIUS - placed[..., 2:]).clamp_min(0.2)
        low, high = image.amin(1), image.amax(1)
        moved = (low + high) / 2 * RADIUS / (focal * scale[:, None])
        centre = centre + F.pad(moved, (0, 1))
        scale = scale * (filled / (high - low).amax(1)) ** 0.8
    centred = points - centre[:, None]
    reach, tall = centred[..., ::2].norm(dim=-1), centred[..., 1].abs()
    for _ in range(40):
        away = scale[:, None] * reach
        aside = focal * away / (RADIUS**2 - away**2).clamp_min(1e-3).sqrt()
        up = focal * scale[:, None] * tall / (RADIUS - away).clamp_min(1e-3)
        fits = (away.amax(1) < 0.9 * RADIUS) & (torch.maximum(aside, up).amax(1) < 0.49)
        scale = torch.where(fits, scale, 0.97 * scale)
    return scale, centre


def _about_y(angles: Tensor) -> Tensor:
    """Rotations [B, 3, 3]."""
    c, s, o, i = angles.cos(), angles.sin(), torch.zeros_like(angles), torch.ones_like(angles)
    return torch.stack([c, o, s, o, i, o, -s, o, c], 1).view(-1, 3, 3)
