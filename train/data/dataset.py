"""Photographs clouds of points (`train.data.point_clouds`) on any device, a batch of objects at a time.

Nothing is read from a disk: an object is seen in another pose, build and light each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.experts.embedded.symmetry import upright_planes
from train.data.device_constants import constant
from train.data.framing import FILLED, framed
from train.data.lighting import AMBIENT, DIFFUSE, LIGHT, PLAIN_LIGHT, TEAM_COLOUR
from train.data.point_clouds import Clouds
from train.data.rng import Dice
from train.data.samples import Shots
from train.data.splatting import Light, photographed, photographed_closely
from train.data.view_batch import Pictures, planes_of_views
from train.data.warp import Warp

# Of animals, other actors and made-up objects. Animals are fewer than people in armour, and differ more.
SHARES = (0.3, 0.25, 0.45)
WARPED = (1.6, 1.2, 1.2)  # times the usual strength
FRAMED = 16  # every so many points tell how large an object is


@dataclass(frozen=True)
class Scene:
    """B objects before the cameras, in one pose or two."""

    points: list[Tensor]  # [B, P, 3] world units
    normals: list[Tensor]  # [B, P, 3]
    albedo: Tensor  # [B, P, 3]
    light: Light
    planes: Tensor  # [B, 4]


class Studio:
    """Draws shots at random."""

    def __init__(self, clouds: Clouds, seed: int) -> None:
        self.clouds = clouds
        self.random = torch.Generator(clouds.rest.device).manual_seed(seed)
        shares = torch.tensor(SHARES, device=clouds.kind.device)
        self.odds = (shares / torch.bincount(clouds.kind, minlength=len(SHARES)).clamp_min(1))[clouds.kind]

    @torch.no_grad()
    def shots(self, count: int) -> Shots:
        """So many objects, posed, warped, turned, framed and lit."""
        scene = self._scene(count, self.odds, pair=True)
        taken = [
            photographed(p, n, scene.albedo, scene.light)
            for p, n in zip(scene.points, scene.normals, strict=True)
        ]
        return Shots(*taken[0], taken[-1][0], scene.planes)

    @torch.no_grad()
    def close_ups(self, count: int) -> Pictures:
        """All views of so many symmetric objects, each filling its picture."""
        scene = self._scene(count, self.odds * self.clouds.symmetric, pair=False)
        near = photographed_closely(scene.points[0], scene.normals[0], scene.albedo, scene.light)
        return Pictures.of(near, planes_of_views(scene.planes))

    def _scene(self, count: int, odds: Tensor, pair: bool) -> Scene:
        clouds, device = self.clouds, odds.device
        dice = Dice(count, device, self.random)
        objects = torch.multinomial(odds, count, replacement=True, generator=self.random)
        first, swap = 2 * dice.numbers(clouds.matrices.shape[1] // 2), dice.numbers(2)
        poses = [clouds.posed(objects, first + swap)]
        if pair:
            poses.append(clouds.posed(objects, first + 1 - swap))
        strength = constant(WARPED, device)[clouds.kind[objects]]
        warp = Warp.random(poses[0][0], strength, dice)
        yaw = 2 * math.pi * dice.uniform()
        turn = about_y(yaw)
        points, normals = [warp(p) @ turn.mT for p, _ in poses], [n @ turn.mT for _, n in poses]
        filled = FILLED[0] + (FILLED[1] - FILLED[0]) * dice.uniform()
        scale, centre = framed(torch.cat([p[:, ::FRAMED] for p in points], 1), filled)
        centre = centre + 0.02 * dice.normal(3) / scale[:, None]
        places = [scale[:, None, None] * (p - centre[:, None]) for p in points]
        offset = -scale * (centre[:, 0] * yaw.cos() - centre[:, 2] * yaw.sin())
        planes = upright_planes(yaw, offset) * clouds.symmetric[objects, None]
        light = lit(dice)
        albedo = dyed(clouds.colors[objects], light)
        return Scene(places, normals, albedo, light, planes)


def lit(dice: Dice) -> Light:
    """The default light, or another one."""
    around = 2 * math.pi * dice.uniform()
    other = ~dice.chance(PLAIN_LIGHT)[:, None]
    direction = torch.stack([around.sin(), 0.2 + 1.3 * dice.uniform(), around.cos()], 1)

    def either(random: Tensor, plain: tuple[float, ...]) -> Tensor:
        return torch.where(other, random, constant(plain, random.device))

    return Light(
        direction=F.normalize(either(direction, LIGHT), dim=1),
        ambient=either(0.5 + 0.4 * dice.uniform(1), (AMBIENT,)),
        diffuse=either(0.6 * dice.uniform(1), (DIFFUSE,)),
        tint=either(0.8 + 0.3 * dice.uniform(3), (1.0, 1.0, 1.0)),
        team=either(dice.uniform(3), TEAM_COLOUR),
    )


def dyed(colors: Tensor, light: Light) -> Tensor:
    """Albedo [B, P, 3] of points with the bytes [B, P, 4] of `Cloud.colors`."""
    shares = colors.float() / 255
    return (shares[..., :3] + shares[..., 3:] * light.team[:, None]) * light.tint[:, None]


def about_y(angles: Tensor) -> Tensor:
    """Rotations [B, 3, 3]."""
    c, s, o, i = angles.cos(), angles.sin(), torch.zeros_like(angles), torch.ones_like(angles)
    return torch.stack([c, o, s, o, i, o, -s, o, c], 1).view(-1, 3, 3)
