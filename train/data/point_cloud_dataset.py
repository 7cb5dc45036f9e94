"""Training batches from point clouds, rendered on any device in new poses, builds and lights every time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.experts.embedded.symmetry import upright_planes
from ar4d.scenes.lighting import AMBIENT, DIFFUSE, LIGHT, TEAM_COLOUR
from train.data.batch_rng import BatchRng
from train.data.crop_batch import CropBatch, planes_of_views
from train.data.device_constants import constant
from train.data.framing import FILL_RANGE, frame_objects
from train.data.grid_batch import GridBatch
from train.data.lighting import DEFAULT_LIGHT_PROB
from train.data.point_clouds import PointClouds
from train.data.splatting import Light, rotations_about_y, splat_crops, splat_moving_orbit, splat_views
from train.data.view_batch import ViewBatch
from train.data.warp import Warp

KIND_SHARES = (0.3, 0.25, 0.45)
"""Shares of animals, other actors and procedural objects. Animals are rarer than people in armour, and
differ more from each other."""
WARP_STRENGTHS = (1.6, 1.2, 1.2)
"""Strength of the warps by kind."""
FRAMING_STRIDE = 16
"""Only every 16th point is used to frame an object."""


@dataclass(frozen=True)
class PosedScene:
    """B objects before the cameras, in one or more poses."""

    points: list[Tensor]  # [B, P, 3] world units, for each pose
    normals: list[Tensor]  # [B, P, 3]
    albedo: Tensor  # [B, P, 3]
    light: Light
    planes: Tensor  # [B, 4]


class PointCloudDataset:
    """An `ExampleSource` that draws objects at random: posed, warped, turned, framed and lit."""

    def __init__(self, clouds: PointClouds, seed: int) -> None:
        self.clouds = clouds
        self.random = torch.Generator(clouds.rest.device).manual_seed(seed)
        shares = torch.tensor(KIND_SHARES, device=clouds.kind.device)
        counts = torch.bincount(clouds.kind, minlength=len(KIND_SHARES))
        self.odds = (shares / counts.clamp_min(1))[clouds.kind]

    @torch.no_grad()
    def sample_views(self, count: int) -> ViewBatch:
        """The four views of `count` random objects in two neighbouring poses."""
        scene = self._scene(count, self.odds, self._pair)
        rendered = [
            splat_views(p, n, scene.albedo, scene.light)
            for p, n in zip(scene.points, scene.normals, strict=True)
        ]
        return ViewBatch(*rendered[0], rendered[-1][0], scene.planes)

    @torch.no_grad()
    def sample_crops(self, count: int) -> CropBatch:
        """Crops of all four views of `count` random symmetric objects."""
        scene = self._scene(count, self.odds * self.clouds.symmetric, lambda rng: self._pair(rng)[:1])
        crops = splat_crops(scene.points[0], scene.normals[0], scene.albedo, scene.light)
        return CropBatch.from_crops(crops, planes_of_views(scene.planes))

    @torch.no_grad()
    def sample_grids(
        self, count: int, azimuths_deg: Sequence[float], num_frames: int, strides: Sequence[int] = (1,)
    ) -> GridBatch:
        """Clips of `count` random objects, each from several azimuths, in one build, light and framing.

        The frames are poses of the clouds from a random one on, in a cycle. Time steps are equal if the
        clouds have 1 / (2 NEIGHBOUR) = 8 pairs of poses.

        Args:
            count: B.
            azimuths_deg: V azimuths, the same for all objects; 0 is the reference view.
            num_frames: T.
            strides: poses from one frame to the next; one of them is drawn for each object.
        """
        scene = self._scene(count, self.odds, lambda rng: self._consecutive(rng, num_frames, strides))
        azimuths = torch.deg2rad(constant(tuple(azimuths_deg), self.odds.device))
        following = [*scene.points[1:], scene.points[-1]]
        rendered = [
            splat_moving_orbit(p, after, n, scene.albedo, scene.light, azimuths)
            for p, after, n in zip(scene.points, following, scene.normals, strict=True)
        ]
        views, depths, flow = (torch.stack(parts, 2) for parts in zip(*rendered, strict=True))
        return GridBatch(views, depths, flow[:, :, :-1], torch.rad2deg(azimuths), scene.planes)

    def _pair(self, rng: BatchRng) -> list[Tensor]:
        """The frames [B] of a random pair of neighbouring poses, in random order."""
        first, swap = 2 * rng.integers(self.clouds.matrices.shape[1] // 2), rng.integers(2)
        return [first + swap, first + 1 - swap]

    def _consecutive(self, rng: BatchRng, num_frames: int, strides: Sequence[int] = (1,)) -> list[Tensor]:
        """Frames [B] a random one of the strides apart, from a random one on."""
        length = self.clouds.matrices.shape[1]
        start = rng.integers(length)
        chosen = rng.integers(len(strides)) if len(strides) > 1 else torch.zeros_like(start)
        stride = constant(tuple(strides), start.device)[chosen]
        return [(start + k * stride) % length for k in range(num_frames)]

    def _scene(
        self, count: int, odds: Tensor, choose_frames: Callable[[BatchRng], list[Tensor]]
    ) -> PosedScene:
        clouds, device = self.clouds, odds.device
        rng = BatchRng(count, device, self.random)
        objects = torch.multinomial(odds, count, replacement=True, generator=self.random)
        poses = [clouds.posed(objects, frames) for frames in choose_frames(rng)]
        strength = constant(WARP_STRENGTHS, device)[clouds.kind[objects]]
        warp = Warp.random(poses[0][0], strength, rng)
        yaw = 2 * math.pi * rng.uniform()
        turn = rotations_about_y(yaw)
        points, normals = [warp(p) @ turn.mT for p, _ in poses], [n @ turn.mT for _, n in poses]
        fill = FILL_RANGE[0] + (FILL_RANGE[1] - FILL_RANGE[0]) * rng.uniform()
        scale, center = frame_objects(torch.cat([p[:, ::FRAMING_STRIDE] for p in points], 1), fill)
        center = center + 0.02 * rng.normal(3) / scale[:, None]
        placed = [scale[:, None, None] * (p - center[:, None]) for p in points]
        offset = -scale * (center[:, 0] * yaw.cos() - center[:, 2] * yaw.sin())
        planes = upright_planes(yaw, offset) * clouds.symmetric[objects, None]
        light = random_light(rng)
        albedo = tinted_albedo(clouds.colors[objects], light)
        return PosedScene(placed, normals, albedo, light, planes)


def random_light(rng: BatchRng) -> Light:
    """The default light or, with probability 1 - DEFAULT_LIGHT_PROB, a random one for each object."""
    azimuth = 2 * math.pi * rng.uniform()
    random = ~rng.bernoulli(DEFAULT_LIGHT_PROB)[:, None]
    direction = torch.stack([azimuth.sin(), 0.2 + 1.3 * rng.uniform(), azimuth.cos()], 1)

    def choose(value: Tensor, default: tuple[float, ...]) -> Tensor:
        return torch.where(random, value, constant(default, value.device))

    return Light(
        direction=F.normalize(choose(direction, LIGHT), dim=1),
        ambient=choose(0.5 + 0.4 * rng.uniform(1), (AMBIENT,)),
        diffuse=choose(0.6 * rng.uniform(1), (DIFFUSE,)),
        tint=choose(0.8 + 0.3 * rng.uniform(3), (1.0, 1.0, 1.0)),
        team=choose(rng.uniform(3), TEAM_COLOUR),
    )


def tinted_albedo(colors: Tensor, light: Light) -> Tensor:
    """Albedo [B, P, 3] in the light's team colour and tint, from `PointCloud.colors` [B, P, 4]."""
    shares = colors.float() / 255
    return (shares[..., :3] + shares[..., 3:] * light.team[:, None]) * light.tint[:, None]
