"""Photographs clouds of points (`train.clouds`) on any device, a batch of objects at a time.

Nothing is read from a disk: an object is seen in another pose, build and light each time. The points that
nothing nearer hides are seen; a pixel's colour and depth are the means of its points'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics
from ar4d.experts.embedded.geometry import VIEWS, cameras, project
from ar4d.experts.embedded.network import IN_SIZE
from train.clouds import Clouds
from train.framing import FILLED
from train.samples import Shots
from train.warp import Warp

# Of animals, other actors and made-up objects. Animals are fewer than people in armour, and differ more.
SHARES = (0.35, 0.3, 0.35)
WARPED = (1.6, 1.2, 1.2)  # times the usual strength
BEHIND_NEAREST = 0.03  # world units by which a pixel's points may lie behind the nearest around them
FROM_BEHIND = 0.02  # what points seen from behind count beside others: thin things have two sides
FINE = 2  # of the outline's pixels in a pixel
CLOSED = 5  # of those in which gaps of an outline are closed
PLAIN_LIGHT = 0.5  # share of objects under the default light
LIGHT, AMBIENT, DIFFUSE, TEAM_COLOUR = (0.3, 0.7, 0.65), 0.62, 0.5, (0.75, 0.12, 0.10)
FROM_BELOW = 0.08  # how much darker what looks down is
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
        clouds, random, device = self.clouds, self.random, self.odds.device
        objects = torch.multinomial(self.odds, count, replacement=True, generator=random)
        pairs = clouds.matrices.shape[1] // 2
        first = 2 * torch.randint(pairs, (count,), generator=random, device=device)
        swap = torch.randint(2, (count,), generator=random, device=device)
        poses = [clouds.posed(objects, first + swap)]
        if self.pairs:
            poses.append(clouds.posed(objects, first + 1 - swap))
        strength = torch.tensor(WARPED, device=device)[clouds.kind[objects]]
        warp = Warp.random(poses[0][0], strength, random)
        yaw = 2 * math.pi * self._uniform(count)
        turn = _about_y(yaw)
        points = [warp(p) @ turn.mT for p, _ in poses]
        normals = [n @ turn.mT for _, n in poses]
        scale, centre = framed(
            torch.cat([p[:, ::FRAMED] for p in points], 1),
            FILLED[0] + (FILLED[1] - FILLED[0]) * self._uniform(count),
        )
        centre = centre + 0.02 * self._normal(count, 3) / scale[:, None]
        places = [scale[:, None, None] * (p - centre[:, None]) for p in points]
        offset = -scale * (centre[:, 0] * yaw.cos() - centre[:, 2] * yaw.sin())
        planes = (
            torch.stack([(2 * yaw).cos(), (2 * yaw).sin(), offset * yaw.cos(), -offset * yaw.sin()], 1)
            * clouds.symmetric[objects, None]
        )
        light = self._light(count)
        albedo = clouds.colors[objects].float() / 255
        albedo = (albedo[..., :3] + albedo[..., 3:] * light.team[:, None]) * light.tint[:, None]
        taken = [photographed(p, n, albedo, light) for p, n in zip(places, normals, strict=True)]
        return Shots(*taken[0], taken[-1][0], planes)

    def _light(self, count: int) -> Light:
        around = 2 * math.pi * self._uniform(count)
        other = self._uniform(count)[:, None] >= PLAIN_LIGHT
        direction = torch.stack([around.sin(), 0.2 + 1.3 * self._uniform(count), around.cos()], 1)

        def either(random: Tensor, plain: tuple[float, ...]) -> Tensor:
            return torch.where(other, random, torch.tensor(plain, device=random.device))

        return Light(
            direction=F.normalize(either(direction, LIGHT), dim=1),
            ambient=either(0.5 + 0.4 * self._uniform(count, 1), (AMBIENT,)),
            diffuse=either(0.6 * self._uniform(count, 1), (DIFFUSE,)),
            tint=either(0.8 + 0.3 * self._uniform(count, 3), (1.0, 1.0, 1.0)),
            team=either(self._uniform(count, 3), TEAM_COLOUR),
        )

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.random, device=self.odds.device)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.random, device=self.odds.device)


@dataclass(frozen=True)
class Light:
    """Of B objects."""

    direction: Tensor  # [B, 3] towards it
    ambient: Tensor  # [B, 1]
    diffuse: Tensor  # [B, 1]
    tint: Tensor  # [B, 3]
    team: Tensor  # [B, 3]


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


def photographed(points: Tensor, normals: Tensor, albedo: Tensor, light: Light) -> tuple[Tensor, Tensor]:
    """Premultiplied pictures [B, 4, 4, S, S] and depths [B, 4, S, S] of points [B, P, 3] in world units."""
    count, size = len(points), IN_SIZE
    normals = F.normalize(normals, dim=-1, eps=1e-9)
    lit = (normals * light.direction[:, None]).sum(-1)
    rgb, far, cells, fine, fronts = [], [], [], [], []
    for view in range(VIEWS):
        place, depth = project(points, view)
        place = (place + 1) / 2
        eye = -cameras(1).viewmats[view, :3, :3].T @ cameras(1).viewmats[view, :3, 3]
        towards = ((eye.to(points.device) - points) * normals).sum(-1).sign()
        shade = (
            light.ambient
            + light.diffuse * (towards * lit).clamp_min(0)
            + FROM_BELOW * towards * normals[..., 1]
        )
        rgb.append((albedo * shade[..., None]).clamp(0, 1))
        far.append(depth)
        fronts.append(torch.where(towards > 0, 1.0, FROM_BEHIND))
        cells.append(_cells(place, size))
        fine.append(_cells(place, FINE * size))
    rows = torch.arange(VIEWS * count, device=points.device).view(VIEWS, count, 1)
    at = torch.stack(cells) + rows * size**2
    depths = torch.stack(far)
    nearest = points.new_full((VIEWS * count * size**2,), torch.inf)
    nearest.scatter_reduce_(0, at.flatten(), depths.flatten(), "amin")
    around = -F.max_pool2d(-nearest.view(-1, 1, size, size), 3, 1, 1)
    near = depths <= around.flatten()[at] + BEHIND_NEAREST
    seen = (near * torch.stack(fronts))[..., None]
    told = torch.cat([seen, seen * torch.stack(rgb), seen * depths[..., None]], -1)
    sums = points.new_zeros(VIEWS * count * size**2, 5)
    sums.index_add_(0, at.flatten(), told.flatten(0, 2))
    sums = sums.view(-1, size, size, 5).permute(0, 3, 1, 2)
    hit = (sums[:, :1] > 0).float()
    for reach in (3, 5):  # what no point fell on
        sums = torch.where(sums[:, :1] > 0, sums, F.avg_pool2d(sums, reach, 1, reach // 2))
    means = sums[:, 1:] / sums[:, :1].clamp_min(1e-6)
    alpha = _outline(torch.stack(fine) + rows * (FINE * size) ** 2, size)
    alpha = torch.maximum(alpha, _shrunk(_grown(hit, 5), 7))  # no holes far from the edge
    there = (alpha > 0.5) & (sums[:, :1] > 0)
    pictures = torch.cat([means[:, :3] * alpha, alpha], 1).unflatten(0, (VIEWS, count)).transpose(0, 1)
    depth = (means[:, 3] * there[:, 0]).unflatten(0, (VIEWS, count)).transpose(0, 1)
    return pictures.contiguous(), depth.contiguous()


def _cells(place: Tensor, size: int) -> Tensor:
    """[...] numbers of the pixels at places [..., 2] in [0, 1]."""
    x, y = (place * size).long().clamp(0, size - 1).unbind(-1)
    return y * size + x


def _outline(at: Tensor, size: int) -> Tensor:
    """[N, 1, S, S] alpha: the fine pixels that points fall on, gaps closed, averaged."""
    marks = torch.zeros(at.shape[0] * at.shape[1] * (FINE * size) ** 2, device=at.device)
    marks[at.flatten()] = 1
    marks = marks.view(-1, 1, FINE * size, FINE * size)
    return F.avg_pool2d(_shrunk(_grown(marks, CLOSED), CLOSED), FINE)


def _grown(marks: Tensor, reach: int) -> Tensor:
    return F.max_pool2d(marks, reach, 1, reach // 2)


def _shrunk(marks: Tensor, reach: int) -> Tensor:
    return -_grown(-marks, reach)


def _about_y(angles: Tensor) -> Tensor:
    """Rotations [B, 3, 3]."""
    c, s, o, i = angles.cos(), angles.sin(), torch.zeros_like(angles), torch.ones_like(angles)
    return torch.stack([c, o, s, o, i, o, -s, o, c], 1).view(-1, 3, 3)
